// Geometry of the lineage: a point of the graph is at `point * scale + offset` on the screen.

export interface View { x: number; y: number; scale: number }
export interface Size { width: number; height: number }

export const MIN_SCALE = 0.02;
export const MAX_SCALE = 2;
const READABLE_SCALE = 0.65;
const PADDING = 32;

/** The view that shows the whole graph, not enlarged. */
export function fit(graph: Size, screen: Size): View {
  const scale = Math.max(MIN_SCALE, Math.min(1, (screen.width - 2 * PADDING) / Math.max(1, graph.width),
    (screen.height - 2 * PADDING) / Math.max(1, graph.height)));
  return { scale, x: (screen.width - graph.width * scale) / 2, y: (screen.height - graph.height * scale) / 2 };
}

/** The first view of a graph: the whole, or its upstream end where a small screen would make its names unreadable. */
export function begin(graph: Size, screen: Size): View {
  const view = fit(graph, screen);
  const width = graph.width * READABLE_SCALE, height = graph.height * READABLE_SCALE;
  if (view.scale >= READABLE_SCALE || width > 4 * screen.width || height > 4 * screen.height) return view;
  return { scale: READABLE_SCALE, x: PADDING / 2, y: Math.max(PADDING / 2, (screen.height - height) / 2) };
}

/** The view zoomed by a factor around a point of the screen, which stays where it is. */
export function zoomAt(view: View, factor: number, x: number, y: number): View {
  const scale = Math.max(MIN_SCALE, Math.min(MAX_SCALE, view.scale * factor));
  const change = scale / view.scale;
  return { scale, x: x - (x - view.x) * change, y: y - (y - view.y) * change };
}

/** The view at the same scale, or a readable one, with a point of the graph in the middle. */
export function center(view: View, screen: Size, x: number, y: number, least = 0): View {
  const scale = Math.max(view.scale, least);
  return { scale, x: screen.width / 2 - x * scale, y: screen.height / 2 - y * scale };
}

/** Whether a rectangle of the graph is on the screen. */
export function isVisible(view: View, screen: Size, x: number, y: number, width: number, height: number): boolean {
  const left = x * view.scale + view.x, top = y * view.scale + view.y;
  return left < screen.width && left + width * view.scale > 0 && top < screen.height && top + height * view.scale > 0;
}

/** Points, of which the first is given by its position and each later one by its distance from the one before. */
export function positions(steps: [number, number][]): [number, number][] {
  let x = 0, y = 0;
  return steps.map(([right, down]) => [x += right, y += down]);
}
