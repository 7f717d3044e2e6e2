import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useApi, useAssets, type Asset, type Lineage, type LineageNode, type Live } from "../api";
import { count, reasonOf, STATES } from "../format";
import { assetPath, Badge, Icon, Link, Loaded, NoAssets, SYMBOLS, useQuery } from "../parts";
import { begin, center, fit, isVisible, positions, zoomAt, type Size, type View } from "../viewport";
import { FilterBox, PartitionBar } from "./assets";
import { countStates } from "./overview";

const EVERYTHING = 150;
const HUES = 8;

export function LineagePage({ live }: { live: Live }) {
  const [query, setQuery] = useQuery();
  const assets = useAssets(live.token);
  const select = query.get("select") ?? "", focus = query.get("focus") ?? "";
  const depth = Number(query.get("depth") ?? 2);
  const isLarge = (assets.data?.length ?? 0) > EVERYTHING;
  const hasGroups = new Set(assets.data?.map(({ group }) => group)).size > 1;
  const view = query.get("view") || (isLarge && hasGroups && !focus && !select ? "groups" : "assets");
  const path = useMemo(() => {
    const parts = [`select=${encodeURIComponent(select)}`];
    if (focus) parts.push(`focus=${encodeURIComponent(focus)}`, `depth=${depth}`);
    if (view === "groups") parts.push("collapse=group");
    return `lineage?${parts.join("&")}`;
  }, [select, focus, depth, view]);
  const isTyping = select !== "" && assets.data !== null && select.length < 2;
  const lineage = useApi<Lineage>(assets.data === null || isTyping ? null : path, live.definitions);
  return (
    <div class="fill">
      <div class="head"><h1>Lineage</h1><Link to={`/assets${select ? `?select=${encodeURIComponent(select)}` : ""}`} class="button end"><Icon name="assets" /> Table</Link></div>
      <div class="toolbar"><FilterBox />
        {focus && <span class="focus-chip">around <b>{focus}</b>
          <button type="button" aria-label="Fewer steps" disabled={depth < 1} onClick={() => setQuery({ depth: String(depth - 1) })}>−</button>{count(depth, "step")}
          <button type="button" aria-label="More steps" onClick={() => setQuery({ depth: String(depth + 1) })}>+</button>
          <button type="button" onClick={() => setQuery({ focus: "", depth: "" })}>Show all</button></span>}
        {hasGroups && !focus && <div class="segmented" role="group" aria-label="Show">{["assets", "groups"].map((name) => (
          <button key={name} type="button" aria-pressed={view === name} onClick={() => setQuery({ view: name })}>{name}</button>))}</div>}
        <label class="end">Color <select value={query.get("color") ?? "freshness"} onChange={(event) => setQuery({ color: event.currentTarget.value })}>
          {["freshness", "handler", "group"].map((name) => <option key={name}>{name}</option>)}</select></label></div>
      <Loaded answer={assets.error ? { data: null, error: assets.error } : lineage}>{(graph) => graph.assets.length
        ? <Graph graph={graph} assets={assets.data ?? []} byGroup={view === "groups"} color={query.get("color") ?? "freshness"} running={new Set(live.steps)} />
        : assets.data?.length ? <p class="empty card">No assets match.</p> : <NoAssets />}</Loaded>
    </div>
  );
}

interface Node extends LineageNode { index: number; x: number; y: number; width: number; state: string; fill: string; border: string; label: string; up: number[]; down: number[]; asset: Asset | undefined }

const RANK = ["failed", "stale", "partial", "missing", "fresh", "external"];

function prepare(graph: Lineage, assets: Asset[], byGroup: boolean, color: string): { nodes: Node[]; hues: string[]; handlers: string[] } {
  const byName = new Map(assets.map((asset) => [asset.name, asset]));
  const groups = new Map<string, Asset[]>();
  if (byGroup) for (const asset of assets) { const name = asset.group ?? asset.name, list = groups.get(name); if (list) list.push(asset); else groups.set(name, [asset]); }
  const handlers = [...new Set(graph.assets.map(({ handler }) => handler))].sort();
  const hue = (names: string[], name: string) => `hue-${names.indexOf(name) % HUES}`;
  const category = (node: LineageNode) => (color === "handler" ? node.handler : node.group ?? "no group");
  const hues = color === "freshness" ? [] : [...new Set(graph.assets.map(category))].sort();
  const nodes = graph.assets.map((node, index): Node => {
    const [x, y, width] = graph.boxes[index] ?? [0, 0, 100];
    const members = byGroup ? groups.get(node.name) ?? [] : [];
    const asset = byName.get(node.name);
    const state = members.length ? RANK.find((name) => members.some((member) => member.state === name)) ?? "missing" : asset?.state ?? (node.external ? "external" : "missing");
    return { ...node, index, x, y, width, state, asset, up: [], down: [], label: members.length > 1 ? `${node.name} · ${members.length}` : node.name,
      fill: color === "freshness" ? state : hue(hues, category(node)), border: color === "freshness" ? hue(handlers, node.handler) : state };
  });
  const positions = new Map(nodes.map((node) => [node.name, node]));
  for (const { from, to } of graph.edges) {
    const source = positions.get(from), target = positions.get(to);
    if (source && target) { source.down.push(target.index); target.up.push(source.index); }
  }
  return { nodes, hues, handlers };
}

interface Edge { source: number; target: number; loaded: boolean; path: Path2D; tip: [x: number, y: number]; left: number; top: number; width: number; height: number }

/** The lines of the graph, built once: drawing thousands of them is most of the time of a frame. */
function drawEdges(graph: Lineage): { edges: Edge[]; all: Path2D } {
  const numbers = new Map(graph.assets.map(({ name }, index) => [name, index])), middle = graph.box_height / 2, all = new Path2D();
  const edges = graph.edges.flatMap(({ from, to, loaded }, index): Edge[] => {
    const source = numbers.get(from) ?? -1, target = numbers.get(to) ?? -1, start = graph.boxes[source], end = graph.boxes[target];
    if (!start || !end) return [];
    const stops = [...positions(graph.lanes[index] ?? []), [end[0], end[1] + middle] as [number, number]], path = new Path2D();
    let x = start[0] + start[2], y = start[1] + middle, top = y, bottom = y;
    const left = Math.min(x, end[0]), width = Math.abs(end[0] - x);
    path.moveTo(x, y);
    for (const [nextX, nextY] of stops) {
      const bend = Math.max(24, Math.abs(nextX - x) / 2) * (nextX < x ? 2 : 1);
      path.bezierCurveTo(x + bend, y, nextX - bend, nextY, nextX, nextY);
      [x, y, top, bottom] = [nextX, nextY, Math.min(top, nextY), Math.max(bottom, nextY)];
    }
    all.addPath(path);
    return [{ source, target, loaded, path, tip: [x, y], left, top: top - 2, width: width + 4, height: bottom - top + 4 }];
  });
  return { edges, all };
}

const READABLE = 0.5;
const MAX_BOXES = 260;
/** With more nodes, the picture is moved as it is and drawn again when it rests. */
const MAX_REDRAWN = 400;
const REST = 90;

function Graph({ graph, assets, byGroup, color, running }: { graph: Lineage; assets: Asset[]; byGroup: boolean; color: string; running: Set<string> }) {
  const { nodes, hues, handlers } = useMemo(() => prepare(graph, assets, byGroup, color), [graph, assets, byGroup, color]);
  const stage = useRef<HTMLDivElement>(null), canvas = useRef<HTMLCanvasElement>(null), map = useRef<HTMLCanvasElement>(null);
  const [screen, setScreen] = useState<Size>({ width: 0, height: 0 });
  const [view, setView] = useState<View>({ x: 0, y: 0, scale: 1 });
  const [selected, setSelected] = useState(-1);
  const [scheme, setScheme] = useState(0);
  const drag = useRef<{ x: number; y: number; moved: boolean } | null>(null);
  const frame = useRef(0), next = useRef(view);
  const show = (target: View) => {
    next.current = target;
    if (!frame.current) frame.current = requestAnimationFrame(() => { frame.current = 0; setView(next.current); });
  };
  useEffect(() => {
    const target = stage.current;
    if (!target) return;
    const observer = new ResizeObserver(() => setScreen({ width: target.clientWidth, height: target.clientHeight }));
    observer.observe(target);
    const media = matchMedia("(prefers-color-scheme: dark)"), repaint = () => setScheme((number) => number + 1);
    media.addEventListener("change", repaint);
    const wheel = (event: WheelEvent) => {
      event.preventDefault();
      const { left, top } = target.getBoundingClientRect();
      const current = next.current;
      if (event.ctrlKey || event.metaKey || Math.abs(event.deltaY) >= 40 && event.deltaX === 0 && !event.shiftKey) show(zoomAt(current, Math.exp(-event.deltaY * 0.0015), event.clientX - left, event.clientY - top));
      else show({ ...current, x: current.x - event.deltaX, y: current.y - event.deltaY });
    };
    target.addEventListener("wheel", wheel, { passive: false });
    return () => { observer.disconnect(); media.removeEventListener("change", repaint); target.removeEventListener("wheel", wheel); };
  }, []);
  useEffect(() => { if (screen.width) { setSelected(-1); show(begin(graph, screen)); } }, [graph, screen.width > 0, screen.height > 0]);
  const chosen = nodes[selected];
  const near = useMemo(() => (chosen ? new Set([selected, ...chosen.up, ...chosen.down]) : null), [selected, nodes]);
  const visible = useMemo(() => nodes.filter((node) => isVisible(view, screen, node.x - 40, node.y - 40, node.width + 80, graph.box_height + 80)), [nodes, view, screen]);
  const hasBoxes = view.scale >= READABLE && visible.length <= MAX_BOXES;
  const lines = useMemo(() => drawEdges(graph), [graph]);

  const painted = useRef<{ view: View; of: unknown[] }>({ view, of: [] });
  useEffect(() => {
    const target = canvas.current, last = painted.current, of = [screen, nodes, near, scheme, hasBoxes];
    if (!target || !screen.width) return;
    const draw = () => { paint(target); target.style.transform = ""; painted.current = { view, of }; };
    if (hasBoxes || nodes.length <= MAX_REDRAWN || of.some((item, index) => item !== last.of[index])) return draw();
    const factor = view.scale / last.view.scale;
    target.style.transform = `translate(${view.x - last.view.x * factor}px, ${view.y - last.view.y * factor}px) scale(${factor})`;
    const timer = window.setTimeout(draw, REST);
    return () => window.clearTimeout(timer);
  }, [view, screen, nodes, graph, near, hasBoxes, scheme]);

  const paint = (target: HTMLCanvasElement) => {
    const context = target.getContext("2d");
    if (!context) return;
    const ratio = devicePixelRatio;
    target.width = screen.width * ratio; target.height = screen.height * ratio;
    const style = getComputedStyle(document.documentElement), cache = new Map<string, string>();
    const shade = (name: string) => { let value = cache.get(name); if (!value) { value = style.getPropertyValue(`--${name}`).trim(); cache.set(name, value); } return value; };
    context.setTransform(view.scale * ratio, 0, 0, view.scale * ratio, view.x * ratio, view.y * ratio);
    const line = Math.max(1.2, 0.7 / view.scale);
    context.lineWidth = line;
    context.strokeStyle = shade("edge");
    if (!near && view.scale < 0.25) {
      context.globalAlpha = nodes.length > 1000 ? 0.15 : 0.85;  // the states of the assets are what is to be seen
      context.stroke(lines.all);
    } else for (const edge of lines.edges) {
      if (!isVisible(view, screen, edge.left, edge.top, edge.width, edge.height)) continue;
      const isNear = edge.source === selected || edge.target === selected;
      context.globalAlpha = near ? (isNear ? 1 : 0.18) : nodes.length > 1000 ? 0.45 : 0.85;
      context.strokeStyle = isNear ? shade("accent") : shade("edge");
      context.lineWidth = isNear ? line * 1.5 : line;
      context.setLineDash(edge.loaded ? [] : [5, 4]);
      context.stroke(edge.path);
      if (view.scale > 0.4) {
        const [x, y] = edge.tip;
        context.setLineDash([]);
        context.fillStyle = context.strokeStyle;
        context.beginPath();
        context.moveTo(x, y); context.lineTo(x - 7, y - 3.5); context.lineTo(x - 7, y + 3.5); context.fill();
      }
    }
    context.setLineDash([]);
    if (!hasBoxes) {
      context.font = `13px ${style.getPropertyValue("--font")}`;
      context.textBaseline = "middle";
      const tall = Math.max(graph.box_height, 1.5 / view.scale);
      for (const node of visible) {
        context.globalAlpha = near && !near.has(node.index) ? 0.3 : 1;
        context.fillStyle = view.scale < 0.25 ? shade(`${node.fill}-fill`) : shade(`${node.fill}-back`);
        context.strokeStyle = shade(`${node.border}-fill`);
        context.lineWidth = Math.max(1, 0.6 / view.scale);
        context.beginPath();
        if (view.scale < 0.25) context.rect(node.x, node.y, node.width, tall); else context.roundRect(node.x, node.y, node.width, graph.box_height, 7);
        context.fill();
        if (view.scale >= 0.25) {
          context.stroke();
          context.fillStyle = shade("text");
          context.fillText(`${SYMBOLS[node.state] ?? ""} ${node.label}`, node.x + 10, node.y + graph.box_height / 2 + 1, node.width - 16);
        }
      }
    }
    context.globalAlpha = 1;
  };

  const isMapped = graph.width * view.scale > screen.width || graph.height * view.scale > screen.height;
  const mapScale = Math.min(180 / Math.max(1, graph.width), 110 / Math.max(1, graph.height));
  const mapped = useRef<{ target: HTMLCanvasElement; nodes: Node[]; scheme: number; image: ImageData } | null>(null);  // a move of the view draws no assets
  useEffect(() => {
    const target = map.current, context = target?.getContext("2d", { willReadFrequently: true });
    if (!target || !context) return;
    const style = getComputedStyle(document.documentElement);
    if (mapped.current?.target !== target || mapped.current.nodes !== nodes || mapped.current.scheme !== scheme) {
      target.width = 180 * devicePixelRatio; target.height = 110 * devicePixelRatio;
      context.scale(devicePixelRatio, devicePixelRatio);
      for (const fill of new Set(nodes.map((node) => node.fill))) {
        context.fillStyle = style.getPropertyValue(`--${fill}-fill`);
        for (const node of nodes) if (node.fill === fill) context.fillRect(node.x * mapScale, node.y * mapScale, Math.max(1, node.width * mapScale), Math.max(1, graph.box_height * mapScale));
      }
      mapped.current = { target, nodes, scheme, image: context.getImageData(0, 0, target.width, target.height) };
    } else context.putImageData(mapped.current.image, 0, 0);
    context.strokeStyle = style.getPropertyValue("--accent");
    context.lineWidth = 1.5;
    context.strokeRect((-view.x / view.scale) * mapScale, (-view.y / view.scale) * mapScale, (screen.width / view.scale) * mapScale, (screen.height / view.scale) * mapScale);
  }, [view, screen, nodes, isMapped, scheme]);

  const [, setQuery] = useQuery();
  const open = (node: Node) => {
    if (byGroup && node.group !== null) setQuery({ select: `group:${node.group}`, view: "assets", focus: "" });
    else window.dispatchEvent(new CustomEvent("rivers-go", { detail: assetPath(node.name) }));
  };
  const reveal = (node: Node) => {
    setSelected(node.index);
    show(center(next.current, screen, node.x + node.width / 2, node.y + graph.box_height / 2, 0.8));
    window.setTimeout(() => stage.current?.querySelector<HTMLElement>(`[data-node="${node.index}"]`)?.focus({ preventScroll: true }), 60);
  };
  const byKey = (event: KeyboardEvent, node: Node) => {
    const column = nodes.filter((item) => item.x === node.x).sort((a, b) => a.y - b.y), row = column.indexOf(node);
    const target = { ArrowRight: nodes[node.down[0] ?? -1], ArrowLeft: nodes[node.up[0] ?? -1], ArrowUp: column[row - 1], ArrowDown: column[row + 1] }[event.key];
    if (target) { event.preventDefault(); reveal(target); }
    if (event.key === "Escape") setSelected(-1);
  };
  const pointer = (event: PointerEvent) => {
    const start = drag.current;
    if (!start) return;
    const dx = event.clientX - start.x, dy = event.clientY - start.y;
    if (!start.moved && Math.hypot(dx, dy) < 4) return;
    if (!start.moved) stage.current?.setPointerCapture(event.pointerId);
    drag.current = { x: event.clientX, y: event.clientY, moved: true };
    show({ ...next.current, x: next.current.x + dx, y: next.current.y + dy });
  };
  const pick = (event: PointerEvent) => {
    const wasDragged = drag.current?.moved;
    drag.current = null;
    if (wasDragged || (event.target as Element).closest("a,button,.minimap")) return;
    const { left, top } = (stage.current as HTMLElement).getBoundingClientRect();
    const x = (event.clientX - left - view.x) / view.scale, y = (event.clientY - top - view.y) / view.scale;
    const hit = nodes.find((node) => x >= node.x && x <= node.x + node.width && y >= node.y && y <= node.y + graph.box_height);
    if (hit) reveal(hit); else setSelected(-1);
  };
  // a move of the view changes neither; comparing hundreds of entries would be most of the time of a frame
  const legend = useMemo(() => <Legend nodes={nodes} hues={hues} handlers={handlers} color={color} />, [nodes]);
  const side = useMemo(() => <Side nodes={nodes} chosen={chosen} byGroup={byGroup} onReveal={reveal} onOpen={open} onFocus={(node) => setQuery({ focus: node.name, select: "", view: "assets" })} onClose={() => setSelected(-1)} />, [nodes, chosen, screen]);
  const zoom = (factor: number) => show(zoomAt(next.current, factor, screen.width / 2, screen.height / 2));
  return (
    <div class="lineage">
      <div class="stage card flush" ref={stage} onPointerDown={(event) => { if (event.button === 0) drag.current = { x: event.clientX, y: event.clientY, moved: false }; }}
        onPointerMove={pointer} onPointerUp={pick} role="group" aria-label={`Lineage graph of ${count(nodes.length, byGroup ? "group" : "asset")}`}>
        <canvas ref={canvas} aria-hidden="true" style={{ width: `${screen.width}px`, height: `${screen.height}px` }} />
        {hasBoxes && <div class="boxes" style={{ transform: `translate(${view.x}px, ${view.y}px) scale(${view.scale})` }}>{visible.map((node) => (
          <a key={node.name} data-node={node.index} href={assetPath(node.name)} draggable={false}
            class={`box ${node.state} ${near && !near.has(node.index) ? "dim" : ""} ${node.index === selected ? "selected" : ""} ${node.partitioned ? "partitioned" : ""} ${node.external ? "is-external" : ""} ${running.has(node.name) ? "running-now" : ""}`}
            style={{ left: `${node.x}px`, top: `${node.y}px`, width: `${node.width}px`, height: `${graph.box_height}px`, background: `var(--${node.fill}-back)`, borderColor: `var(--${node.border}-fill)` }}
            aria-label={`${node.name}: ${node.state}, stored by ${node.handler}`} title={`${node.name}: ${node.asset?.detail ?? node.state}\nstored by ${node.handler}${byGroup ? "" : "\nclick to select, double-click to open"}`}
            onClick={(event) => { event.preventDefault(); if (event.detail === 0) open(node); else if (byGroup) open(node); else setSelected(node.index); }}
            onDblClick={() => open(node)} onKeyDown={(event) => byKey(event, node)}>
            <i class={node.state} aria-hidden="true">{SYMBOLS[node.state]}</i><span>{node.label}</span>
            {node.asset?.partitions != null && <svg class="share" viewBox="0 0 100 3" preserveAspectRatio="none" aria-hidden="true"><rect class="rest" width="100" height="3" /><rect class="fresh" width={(node.asset.counts[0] / Math.max(1, node.asset.partitions)) * 100} height="3" />
              <rect class="stale" x={(node.asset.counts[0] / Math.max(1, node.asset.partitions)) * 100} width={(node.asset.counts[1] / Math.max(1, node.asset.partitions)) * 100} height="3" /></svg>}
          </a>
        ))}</div>}
        <div class="controls"><button type="button" aria-label="Zoom in" onClick={() => zoom(1.35)}>+</button><button type="button" aria-label="Zoom out" onClick={() => zoom(1 / 1.35)}>−</button>
          <button type="button" aria-label="Fit the whole graph" onClick={() => show(fit(graph, screen))}><Icon name="fit" /></button></div>
        {isMapped && nodes.length > 8 && <canvas class="minimap" ref={map} aria-hidden="true" style={{ width: "180px", height: "110px" }} onPointerDown={(event) => {
          event.stopPropagation();
          const { left, top } = event.currentTarget.getBoundingClientRect();
          show(center(next.current, screen, (event.clientX - left) / mapScale, (event.clientY - top) / mapScale));
        }} />}
        {legend}
      </div>
      {side}
    </div>
  );
}

/** What fill and border of a box stand for. */
function Legend({ nodes, hues, handlers, color }: { nodes: Node[]; hues: string[]; handlers: string[]; color: string }) {
  const used = new Set(nodes.map(({ state }) => state)), isFreshness = color === "freshness";
  const states = STATES.filter((state) => used.has(state)).map((state) => <li key={state}><span class={`swatch ${state} ${isFreshness ? "" : "edge"}`}>{SYMBOLS[state]}</span>{state}</li>);
  const named = (names: string[], kind: string) => <>{names.slice(0, 10).map((name, index) => <li key={`${kind} ${name}`}><span class={`swatch ${kind}`} style={{ background: kind ? "none" : `var(--hue-${index % HUES}-back)`, borderColor: `var(--hue-${index % HUES}-fill)` }} />{name}</li>)}
    {names.length > 10 && <li>and {names.length - 10} more</li>}</>;
  return <div class="legend" role="group" aria-label="Legend"><ul aria-label="Fill">{isFreshness ? states : named(hues, "")}</ul>
    <ul aria-label="Border"><li class="note">border</li>{isFreshness ? named(handlers, "edge") : states}
      {nodes.some(({ partitioned }) => partitioned) && <li><span class="swatch double" />partitioned</li>}</ul></div>;
}

const MAX_LISTED = 400;

function Side({ nodes, chosen, byGroup, onReveal, onOpen, onFocus, onClose }: {
  nodes: Node[]; chosen: Node | undefined; byGroup: boolean; onReveal: (node: Node) => void; onOpen: (node: Node) => void; onFocus: (node: Node) => void; onClose: () => void;
}) {
  const names = (title: string, indexes: number[]) => <><h3>{title} <span class="note">{indexes.length}</span></h3><ul class="tree">{indexes.slice(0, 100).map((index) => nodes[index]).map((node) => node && (
    <Item key={node.name} node={node} onReveal={onReveal} />))}</ul></>;
  if (chosen) {
    return (
      <aside class="side card" aria-label="Selected asset">
        <button type="button" class="quiet end" onClick={onClose} aria-label="Close">✕</button>
        <h2>{chosen.name}</h2><p><Badge state={chosen.state} /></p>
        {chosen.asset && <p class="note">{reasonOf(chosen.state, chosen.asset.detail)}</p>}
        <p class="note">stored by <span class="chip">{chosen.handler}</span>{chosen.group && <> in group {chosen.group}</>}</p>
        {chosen.asset && <p><PartitionBar asset={chosen.asset} /></p>}
        <p class="buttons"><button type="button" class="primary" onClick={() => onOpen(chosen)}>Open</button>{!byGroup && <button type="button" onClick={() => onFocus(chosen)}>Focus</button>}</p>
        {names("Upstream", chosen.up)}{names("Downstream", chosen.down)}
      </aside>
    );
  }
  const counts = countStates(nodes);
  return (
    <aside class="side card" aria-label="Assets of the graph"><h2>{count(nodes.length, byGroup ? "group" : "asset")}</h2>
      <p class="note">{[...counts].map(([state, number]) => `${number} ${state}`).join(", ")}</p>
      <ul class="tree">{nodes.slice(0, MAX_LISTED).map((node) => <Item key={node.name} node={node} onReveal={onReveal} />)}</ul>
      {nodes.length > MAX_LISTED && <p class="note">{nodes.length - MAX_LISTED} more; use the filter.</p>}</aside>
  );
}

function Item({ node, onReveal }: { node: Node; onReveal: (node: Node) => void }) {
  return <li><button type="button" class="tree-item" onClick={() => onReveal(node)}><i class={node.state} aria-hidden="true">{SYMBOLS[node.state]}</i><span>{node.label}</span><span class="sr">, {node.state}</span></button></li>;
}
