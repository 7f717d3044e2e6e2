// A number of the metadata over time or over the partition keys, with the same numbers as a table.
import { useMemo, useState } from "preact/hooks";
import type { Series } from "./api";
import { formatKind } from "./format";
import { go, Link, useWidth } from "./parts";
import { linePath, niceTicks } from "./scale";

const HEIGHT = 170;
const MAX_ROWS = 200;
const MAX_DOTS = 60;
const [LEFT, RIGHT, TOP, BOTTOM] = [62, 10, 10, 22];

/** Index of the points to draw: all over time, or the last one of each key in order of the keys. */
function drawn(points: Series["points"], values: (number | null)[], byKey: boolean): number[] {
  const known = values.flatMap((value, index) => (value === null ? [] : [index]));
  if (!byKey) return known;
  return [...new Map(known.map((index) => [points[index]?.partition ?? "", index]))].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, index]) => index);
}

export function Chart({ points, values, kind, name }: { points: Series["points"]; values: (number | null)[]; kind: string; name: string }) {
  const [box, width] = useWidth();
  const [isOpen, setOpen] = useState(false);
  const [hovered, setHovered] = useState(-1);
  const byKey = points.every(({ partition }) => partition !== null);
  const { places, ticks, labels, bottom } = useMemo(() => {
    const of = drawn(points, values, byKey), xs = of.map((index, at) => (byKey ? at : points[index]?.at ?? 0)), ys = of.map((index) => values[index] ?? 0);
    const min = Math.min(...ys), max = Math.max(...ys), steps = niceTicks(min > 0 && min < max / 3 ? 0 : min, max, 4);
    const low = Math.min(min, steps[0] ?? min), high = Math.max(max, steps.at(-1) ?? max), first = xs[0] ?? 0, last = xs.at(-1) ?? 1;
    const x = (value: number) => LEFT + ((value - first) / (last - first || 1)) * Math.max(1, width - LEFT - RIGHT);
    const y = (value: number) => TOP + (1 - (value - low) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM);
    const every = Math.max(1, Math.ceil(of.length / Math.max(1, Math.floor((width - LEFT) / 110))));
    const span = last - first;
    const text = (index: number, at: number) => (byKey ? points[index]?.partition ?? "" : new Date(at * 1000).toLocaleString([], span > 86_400 * 2 ? { month: "short", day: "numeric" } : { hour: "2-digit", minute: "2-digit" }));
    return {
      places: of.map((index, at) => ({ index, x: x(xs[at] ?? 0), y: y(ys[at] ?? 0) })), bottom: y(low),
      ticks: steps.map((value, at) => ({ value, y: y(value), text: formatKind(kind, value), last: at ? formatKind(kind, steps[at - 1] ?? 0) : "" })),
      labels: of.flatMap((index, at) => (at % every ? [] : [{ x: x(xs[at] ?? 0), text: text(index, xs[at] ?? 0).slice(0, 14) }])).filter((label, at, all) => label.x - (all[at - 1]?.x ?? -99) > 60 || at === 0),
    };
  }, [points, values, width]);
  const shown = values.flatMap((value, index) => (value === null ? [] : [{ value, point: points[index] }])).reverse();
  if (shown.length < 2) return <p class="note">One value so far; a chart needs two.</p>;
  const nearest = (event: MouseEvent) => {
    const at = event.clientX - (event.currentTarget as Element).getBoundingClientRect().left;
    let best = 0;
    places.forEach((place, index) => { if (Math.abs(place.x - at) < Math.abs((places[best]?.x ?? 0) - at)) best = index; });
    return best;
  };
  const place = places[hovered], point = place && points[place.index];
  return (
    <>
      <div ref={box} class="plot" role="img" aria-label={`${name}: ${shown.length} values; the table below has the same numbers`}
        onMouseMove={(event) => setHovered(nearest(event))} onMouseLeave={() => setHovered(-1)}
        onClick={(event) => { const target = points[places[nearest(event)]?.index ?? -1]; if (target) go(`/runs/${target.run_id}`); }}>
        <svg width={width} height={HEIGHT} aria-hidden="true">
          {ticks.map(({ value, y, text, last }) => <g key={value}><line x1={LEFT} x2={width - RIGHT} y1={y} y2={y} /><text x={LEFT - 8} y={y + 4} text-anchor="end">{text === last ? "" : text}</text></g>)}
          {labels.map(({ x, text }, at) => <text key={x} x={x} y={HEIGHT - 4} text-anchor={!at ? "start" : x > width - 50 ? "end" : "middle"}>{text}</text>)}
          <path class="area" d={`${linePath(places)}V${bottom}H${places[0]?.x ?? 0}Z`} /><path d={linePath(places)} />
          {places.length <= MAX_DOTS && places.map(({ index, x, y }) => <circle key={index} cx={x} cy={y} r="3" />)}
          {place && <circle class="here" cx={place.x} cy={place.y} r="5" />}</svg>
        {place && point && <div class="tip" style={{ left: `${Math.min(place.x, Math.max(0, width - 170))}px`, top: "0" }}><b>{formatKind(kind, values[place.index] ?? 0)}</b>
          <span>{byKey ? point.partition : new Date(point.at * 1000).toLocaleString()}</span></div>}
      </div>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}><summary class="note">table</summary>{isOpen && <div class="x-scroll short" tabIndex={0}><table class="tight"><tbody>{shown.slice(0, MAX_ROWS).map(({ value, point: row }) => (
        <tr key={row?.id}><td class="note">{row && new Date(row.at * 1000).toLocaleString()}</td><td>{row?.partition}</td><td class="number">{formatKind(kind, value)}</td>
          <td>{row && <Link to={`/runs/${row.run_id}`}>{row.run_id.slice(0, 8)}</Link>}</td></tr>))}</tbody></table></div>}</details>
    </>
  );
}
