// A number of the metadata over time or over the partition keys, with the same numbers as a table.
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import type { Series } from "./api";
import { formatKind } from "./format";
import { go, Link, useWidth } from "./parts";

const HEIGHT = 170;
const MAX_ROWS = 200;

export function Chart({ points, values, kind, name }: { points: Series["points"]; values: (number | null)[]; kind: string; name: string }) {
  const [box, width] = useWidth();
  const [isOpen, setOpen] = useState(false);
  const plot = useRef<uPlot | null>(null);
  const data = useRef<{ x: number[]; y: number[]; of: number[]; labels: string[] | null }>({ x: [], y: [], of: [], labels: null });
  const byKey = points.every(({ partition }) => partition !== null);
  useEffect(() => {
    let known = values.flatMap((value, index) => (value === null ? [] : [index]));
    if (byKey) {
      const last = new Map(known.map((index) => [points[index]?.partition ?? "", index]));
      known = [...last].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, index]) => index);
    }
    data.current = {
      of: known, y: known.map((index) => values[index] ?? 0),
      x: byKey ? known.map((_, index) => index) : known.map((index) => points[index]?.at ?? 0),
      labels: byKey ? known.map((index) => points[index]?.partition ?? "") : null,
    };
  }, [points, values]);
  useEffect(() => {
    const target = box.current;
    if (!target || !width) return;
    const style = getComputedStyle(document.documentElement);
    const color = (variable: string) => style.getPropertyValue(variable).trim();
    const { x, y, of, labels } = data.current;
    const axis = { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, font: `11px ${style.getPropertyValue("--font")}` };
    const options: uPlot.Options = {
      width, height: HEIGHT, legend: { show: false }, padding: [8, 10, 0, 0],
      cursor: { points: { size: 8 }, drag: { x: true, y: false } },
      scales: { x: { time: !labels }, y: { range: (_, min, max) => (min === max ? [Math.min(0, min), Math.max(1, max * 1.2)] : [min > 0 && min < max / 3 ? 0 : min - (max - min) * 0.08, max + (max - min) * 0.08]) } },
      axes: [
        { ...axis, ...(labels ? { values: (_: uPlot, ticks: number[]) => ticks.map((tick) => (Number.isInteger(tick) ? labels[tick] ?? "" : "")) } : {}), space: 90 },
        { ...axis, size: 62, values: (_, ticks) => ticks.map((tick) => formatKind(kind, tick)) },
      ],
      series: [{}, { stroke: color("--accent"), fill: `${color("--accent")}14`, width: 1.75, points: { show: x.length < 60, size: 6, fill: color("--card") } }],
      hooks: { setCursor: [(self) => {
        const index = self.cursor.idx;
        target.title = index == null || y[index] === undefined ? "" : `${labels ? labels[index] : new Date((x[index] ?? 0) * 1000).toLocaleString()}: ${formatKind(kind, y[index] ?? 0)}`;
      }] },
    };
    const made = plot.current = new uPlot(options, [x, y], target);
    const open = () => {
      const index = made.cursor.idx;
      const point = index == null ? undefined : points[of[index] ?? -1];
      if (point) go(`/runs/${point.run_id}`);
    };
    made.over.addEventListener("click", open);
    return () => made.destroy();
  }, [width, points, values]);
  const shown = values.flatMap((value, index) => (value === null ? [] : [{ value, point: points[index] }])).reverse();
  if (shown.length < 2) return <p class="note">One value so far; a chart needs two.</p>;
  return (
    <>
      <div ref={box} class="plot" role="img" aria-label={`${name}: ${shown.length} values; the table below has the same numbers`} />
      <details onToggle={(event) => setOpen(event.currentTarget.open)}><summary class="note">table</summary>{isOpen && <div class="x-scroll short"><table class="tight"><tbody>{shown.slice(0, MAX_ROWS).map(({ value, point }) => (
        <tr key={point?.id}><td class="note">{point && new Date(point.at * 1000).toLocaleString()}</td><td>{point?.partition}</td><td class="number">{formatKind(kind, value)}</td>
          <td>{point && <Link to={`/runs/${point.run_id}`}>{point.run_id.slice(0, 8)}</Link>}</td></tr>))}</tbody></table></div>}</details>
    </>
  );
}
