// Partition keys as a calendar, as rows of years, as a matrix or as a grid. Cells are drawn on one canvas.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ActionButton } from "./actions";
import { useApi, type Event, type Partitions } from "./api";
import { count, formatNumber, formatSize, type State } from "./format";
import { EventFacts } from "./pages/asset";
import { Badge, Copy, Link, Loaded, StateLegend, SYMBOLS, Time, useQuery, useWidth } from "./parts";
import { calendar, decode, withAttempts, type Place, type Range } from "./ranges";

interface Drawing { places: Place[]; columns: number; rows: number; left: { row: number; text: string }[]; top: { column: number; text: string }[] }

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const FEW = 80;

export function PartitionGrid({ name, path, version }: { name: string; path: string; version: string }) {
  const answer = useApi<Partitions>(`${path}/partitions`, version);
  return <section class="card"><Loaded answer={answer}>{(partitions) => <Grid name={name} path={path} version={version} partitions={partitions} />}</Loaded></section>;
}

function Grid({ name, path, version, partitions }: { name: string; path: string; version: string; partitions: Partitions }) {
  const [query, setQuery] = useQuery();
  const filter = query.get("state") ?? "", selected = query.get("partition");
  const ranges = useMemo(() => withAttempts(partitions.ranges, partitions.attempts), [partitions]);
  const rangeOf = useMemo(() => decode(ranges), [ranges]);
  const states = useMemo(() => Array.from(rangeOf, (range) => ranges[range]?.state ?? "missing"), [rangeOf]);
  const counts = useMemo(() => {
    const result = new Map<string, number>();
    for (const { state, count } of ranges) result.set(state, (result.get(state) ?? 0) + count);
    return result;
  }, [ranges]);
  const index = selected === null ? -1 : partitions.keys.indexOf(selected);
  const select = (next: number) => setQuery({ partition: partitions.keys[next] ?? "" });
  if (!partitions.keys.length) return <p class="empty">This asset has no partition keys yet.</p>;
  const isHourly = partitions.kind === "hour";
  return (
    <>
      <div class="toolbar"><b>{count(partitions.keys.length, "partition")}</b><StateLegend counts={counts} selected={filter} onSelect={(state) => setQuery({ state })} />
        <label class="filter small end"><span class="sr">Go to partition</span><input type="search" list="keys" placeholder="Go to a key" onChange={(event) => { if (partitions.keys.includes(event.currentTarget.value)) setQuery({ partition: event.currentTarget.value }); }} /></label></div>
      {partitions.kind === "grid" && partitions.keys.length <= FEW
        ? <div class="keys">{partitions.keys.map((key, at) => (
          <button key={key} type="button" class={`key ${states[at]}`} aria-pressed={at === index} hidden={filter !== "" && states[at] !== filter} onClick={() => select(at)}>
            <i aria-hidden="true">{SYMBOLS[states[at] ?? ""]}</i>{key}<span class="sr">{states[at]}</span></button>))}</div>
        : isHourly ? <Hours partitions={partitions} states={states} filter={filter} index={index} onSelect={select} />
        : <Cells partitions={partitions} states={states} filter={filter} index={index} onSelect={select} />}
      {index >= 0 && <Detail name={name} path={path} version={version} partition={selected ?? ""} state={states[index] ?? "missing"} reason={ranges[rangeOf[index] ?? 0]?.reason ?? null} />}
      <Ranges keys={partitions.keys} ranges={ranges} filter={filter} onSelect={select} />
    </>
  );
}

const WORST: State[] = ["failed", "running", "stale", "missing", "fresh"];

/** Hourly keys: a calendar of days, each in the worst state of its hours, and the hours of the selected day. */
function Hours({ partitions, states, filter, index, onSelect }: GridProps) {
  const days = useMemo(() => {
    const result: { day: string; first: number; last: number; state: State }[] = [];
    (partitions.starts ?? []).forEach((start, at) => {
      const day = start.slice(0, 10), last = result.at(-1), state = states[at] ?? "missing";
      if (last?.day === day) { last.last = at; if (WORST.indexOf(state) < WORST.indexOf(last.state)) last.state = state; }
      else result.push({ day, first: at, last: at, state });
    });
    return result;
  }, [partitions, states]);
  const dayIndex = days.findIndex(({ first, last }) => index >= first && index <= last);
  const day = days[dayIndex];
  const byDay: Partitions = { ...partitions, kind: "day", keys: days.map(({ day: text }) => text), starts: days.map(({ day: text }) => text), at: [] };
  return <>
    <Cells noun="day" partitions={byDay} states={days.map(({ state }) => state)} filter={filter} index={dayIndex} onSelect={(next) => onSelect(days[next]?.first ?? -1)} />
    {day && <><h3>{day.day}</h3><div class="keys">{partitions.keys.slice(day.first, day.last + 1).map((key, at) => (
      <button key={key} type="button" class={`key ${states[day.first + at]}`} aria-pressed={day.first + at === index} onClick={() => onSelect(day.first + at)}>
        <i aria-hidden="true">{SYMBOLS[states[day.first + at] ?? ""]}</i>{partitions.starts?.[day.first + at]?.slice(11) ?? key}<span class="sr">{states[day.first + at]}</span></button>))}</div></>}
  </>;
}

interface GridProps { partitions: Partitions; states: State[]; filter: string; index: number; noun?: string; onSelect: (index: number) => void }

function arrange(partitions: Partitions, width: number, size: number): Drawing {
  const { kind, keys, starts, dimensions } = partitions;
  if (kind === "day" && starts) {
    const { places, years } = calendar(starts);
    return { places, columns: 54, rows: (years.at(-1)?.row ?? 0) + 7, left: years.map(({ year, row }) => ({ row: row + 3, text: String(year) })), top: MONTHS.map((text, month) => ({ column: Math.round(month * 4.42), text })) };
  }
  if ((kind === "month" || kind === "week") && starts) {
    const first = Number(starts[0]?.slice(0, 4));
    const places = starts.map((start) => {
      const month = Number(start.slice(5, 7)) - 1;
      const week = Math.floor((Date.parse(`${start.slice(0, 10)}T00:00Z`) - Date.UTC(Number(start.slice(0, 4)), 0, 1)) / (7 * 86_400_000));
      return { column: kind === "month" ? month : week, row: Number(start.slice(0, 4)) - first };
    });
    const rows = (places.at(-1)?.row ?? 0) + 1;
    return { places, columns: kind === "month" ? 12 : 54, rows, left: Array.from({ length: rows }, (_, row) => ({ row, text: String(first + row) })),
      top: MONTHS.map((text, month) => ({ column: kind === "month" ? month : Math.round(month * 4.42), text })) };
  }
  if (kind === "matrix" && dimensions) {
    const columns = dimensions.at(-1)?.keys.length ?? 1;
    const rows = Math.ceil(keys.length / columns);
    const outer = dimensions.slice(0, -1).reduce((names: string[], dimension) => (names.length ? names.flatMap((name) => dimension.keys.map((key) => `${name} ${key}`)) : dimension.keys), []);
    const every = Math.max(1, Math.ceil(90 / size));
    return { places: keys.map((_, index) => ({ column: index % columns, row: Math.floor(index / columns) })), columns, rows,
      left: outer.slice(0, rows).map((text, row) => ({ row, text })), top: (dimensions.at(-1)?.keys ?? []).flatMap((text, column) => (column % every ? [] : [{ column, text }])) };
  }
  const columns = Math.max(10, Math.floor(width / size));
  return { places: keys.map((_, index) => ({ column: index % columns, row: Math.floor(index / columns) })), columns, rows: Math.ceil(keys.length / columns), left: [], top: [] };
}

const TOP = 18;
/** Height of the part that is in view, and how far it scrolls until the next part is drawn: a canvas of all keys may be too large. */
const VIEW = 440, CHUNK = 512;

function Cells({ partitions, states, filter, index, noun = "partition", onSelect }: GridProps) {
  const [box, width] = useWidth();
  const canvas = useRef<HTMLCanvasElement>(null), scroll = useRef<HTMLDivElement>(null);
  const [origin, setOrigin] = useState({ x: 0, y: 0 });
  const [hovered, setHovered] = useState(-1);
  const isWide = partitions.kind === "month" || (partitions.kind === "matrix" && (partitions.dimensions?.at(-1)?.keys.length ?? 0) <= 12);
  const few = partitions.kind === "month" ? 44 : isWide ? 84 : partitions.kind === "matrix" ? 22 : 17;
  const gutter = partitions.kind === "grid" ? 0 : partitions.kind === "matrix" ? 120 : 42;
  const draft = useMemo(() => arrange(partitions, width, partitions.keys.length > 5000 ? 11 : few), [partitions, width]);
  const fitting = Math.floor((width - gutter) / draft.columns);
  const size = partitions.kind === "grid" ? (partitions.keys.length > 5000 ? 11 : few) : Math.max(partitions.kind === "matrix" ? 14 : 6, Math.min(few, fitting));
  const high = isWide ? Math.min(size, 26) : size;
  const cells = useMemo(() => new Map(draft.places.map(({ column, row }, at) => [row * 100_000 + column, at])), [draft]);
  const top = draft.top.length ? TOP : 0;
  const total = { width: gutter + draft.columns * size + 2, height: top + draft.rows * high + 2 };
  useEffect(() => {
    const target = canvas.current, context = target?.getContext("2d");
    if (!target || !context || !width) return;
    const draw = () => {
      const style = getComputedStyle(document.documentElement), color = (name: string) => style.getPropertyValue(`--${name}`).trim();
      const w = Math.min(total.width - origin.x, width + CHUNK), h = Math.min(total.height - origin.y, VIEW + CHUNK);
      target.width = w * devicePixelRatio; target.height = h * devicePixelRatio;
      target.style.cssText = `left: ${origin.x}px; top: ${origin.y}px; width: ${w}px; height: ${h}px`;
      context.scale(devicePixelRatio, devicePixelRatio);
      context.translate(-origin.x, -origin.y);
      context.font = `11px ${style.getPropertyValue("--font")}`;
      context.fillStyle = color("soft");
      context.textBaseline = "middle";
      for (const { row, text } of draft.left) context.fillText(text.length > 17 ? `${text.slice(0, 16)}…` : text, 0, top + row * high + high / 2);
      if (isWide || size * draft.columns > 300) for (const { column, text } of draft.top) context.fillText(size > 60 && text.length > 13 ? `${text.slice(0, 12)}…` : text, gutter + column * size + 1, 8);
      const gap = size > 8 ? 2 : 1, radius = size > 12 ? 3 : 1.5;
      const palette: Record<string, string> = { fresh: color("fresh-fill"), stale: color("stale-fill"), failed: color("failed-fill"), running: color("running-fill"), missing: color("line") };
      draft.places.forEach(({ column, row }, at) => {
        const state = states[at] ?? "missing", x = gutter + column * size + gap / 2, y = top + row * high + gap / 2, side = size - gap, tall = high - gap;
        if (x > origin.x + w || x + size < origin.x || y > origin.y + h || y + high < origin.y) return;
        context.globalAlpha = filter && state !== filter ? 0.15 : 1;
        context.beginPath();
        if (state === "missing") {
          context.strokeStyle = color("missing-line");
          context.lineWidth = 1;
          context.roundRect(x + 0.5, y + 0.5, side - 1, tall - 1, radius);
          context.stroke();
          return;
        }
        context.fillStyle = palette[state] ?? color("line");
        context.roundRect(x, y, side, tall, radius);
        context.fill();
        if (state === "stale") {
          context.beginPath(); context.fillStyle = color("card");
          context.moveTo(x + side, y); context.lineTo(x + side, y + tall * 0.55); context.lineTo(x + side * 0.45, y); context.fill();
        } else if (state === "failed" || state === "running") {
          const [middle, center, reach] = [x + side / 2, y + tall / 2, Math.min(side, tall) / 4];
          context.beginPath(); context.strokeStyle = context.fillStyle = color("card"); context.lineWidth = 1.5;
          if (state === "running") { context.arc(middle, center, reach, 0, 7); context.fill(); }
          else { for (const sign of [-1, 1]) { context.moveTo(middle - reach, center - sign * reach); context.lineTo(middle + reach, center + sign * reach); } context.stroke(); }
        }
      });
      context.globalAlpha = 1;
      const place = draft.places[index];
      if (place) {
        context.strokeStyle = color("text"); context.lineWidth = 2;
        context.strokeRect(gutter + place.column * size, top + place.row * high, size, high);
      }
    };
    draw();
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", draw);
    return () => scheme.removeEventListener("change", draw);
  }, [draft, states, filter, index, width, origin]);
  useEffect(() => {
    const box = scroll.current, place = draft.places[index];
    if (!box || !place) return;
    const x = gutter + place.column * size, y = top + place.row * high;
    if (y < box.scrollTop || y + high > box.scrollTop + box.clientHeight) box.scrollTop = y - box.clientHeight / 2;
    if (x < box.scrollLeft || x + size > box.scrollLeft + box.clientWidth) box.scrollLeft = x - box.clientWidth / 2;
  }, [draft, index]);
  const at = (event: MouseEvent) => {
    const { left, top: y } = ((event.currentTarget as HTMLElement).parentElement as HTMLElement).getBoundingClientRect();
    return cells.get(Math.floor((event.clientY - y - top) / high) * 100_000 + Math.floor((event.clientX - left - gutter) / size)) ?? -1;
  };
  const place = draft.places[hovered];
  const move = (event: KeyboardEvent) => {
    const current = draft.places[Math.max(index, 0)];
    const steps: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const step = steps[event.key];
    if (!step || !current) return;
    event.preventDefault();
    for (let distance = 1; distance < 60; distance += 1) {
      const next = cells.get((current.row + step[1] * distance) * 100_000 + current.column + step[0] * distance);
      if (next !== undefined) return onSelect(next);
    }
  };
  return (
    <div class="cells" ref={box}>
      <div class="cells-scroll" ref={scroll} style={{ maxHeight: `${VIEW}px` }} onScroll={({ currentTarget: { scrollLeft, scrollTop } }) => {
        const x = scrollLeft - scrollLeft % CHUNK, y = scrollTop - scrollTop % CHUNK;
        if (x !== origin.x || y !== origin.y) setOrigin({ x, y });
      }}><div class="cells-inner" style={{ width: `${total.width}px`, height: `${total.height}px` }}>
        <canvas ref={canvas} tabIndex={0} role="img" aria-label={`${count(partitions.keys.length, noun)}; arrow keys select, the list of ranges below has the same states`} onKeyDown={move}
          onMouseMove={(event) => setHovered(at(event))} onMouseLeave={() => setHovered(-1)} onClick={(event) => { const cell = at(event); if (cell >= 0) onSelect(cell); }} />
        {place && <div class="tip" style={{ left: `${Math.min(gutter + place.column * size + size, Math.max(0, width - 190))}px`, top: `${top + place.row * high + high + 4}px` }}>
          <b>{partitions.keys[hovered]}</b><span><i class={states[hovered]}>{SYMBOLS[states[hovered] ?? ""]}</i> {states[hovered]}{partitions.at[hovered] ? <>, <Time at={partitions.at[hovered] ?? 0} /></> : ""}</span>
          {partitions.runs[hovered] != null && <span>{partitions.sizes[hovered] != null && `${formatSize(partitions.sizes[hovered] ?? 0)}, `}run {partitions.run_ids[partitions.runs[hovered] ?? 0]?.slice(0, 8)}</span>}</div>}
      </div></div>
    </div>
  );
}

function Detail({ name, path, version, partition, state, reason }: { name: string; path: string; version: string; partition: string; state: State; reason: string | null }) {
  const answer = useApi<{ events: Event[] }>(`${path}/events?limit=20&partition=${encodeURIComponent(partition)}`, version);
  return (
    <div class="detail" role="status"><p class="headline"><b>{partition}</b><Badge state={state} />{reason && <span class="note">{reason}</span>}
      <span class="end"><Copy text={`rivers materialize ${name} -p '${partition}'`} /></span>
      <ActionButton label="Materialize" question="Run this partition and store its result?" command={`rivers materialize ${name} -p '${partition}'`} path="runs" body={{ select: name, partition }} /></p>
      <Loaded answer={answer}>{({ events }) => events.length ? <>{events.slice(0, 1).map((event) => <div key={event.id}>
        <p class="note">{event.event}, <Time at={event.at} />, run <Link to={`/runs/${event.run_id}`}>{event.run_id.slice(0, 8)}</Link></p>
        {event.message && <pre class="bad">{event.message}</pre>}<EventFacts event={event} withRun={false} /></div>)}
        {events.length > 1 && <p class="note">{count(events.length - 1, "earlier event")}</p>}</> : <p class="note">Nothing has been stored for this key.</p>}</Loaded></div>
  );
}

const MAX_RANGES = 100;

/** The same states as text: one line per range of keys. */
function Ranges({ keys, ranges, filter, onSelect }: { keys: string[]; ranges: Range[]; filter: string; onSelect: (index: number) => void }) {
  let start = 0;
  const lines = ranges.map(({ state, reason, count: number }) => { const line = { state, reason, number, start }; start += number; return line; })
    .filter(({ state }) => !filter || state === filter);
  return <details class="ranges"><summary class="note">{count(lines.length, "range")} as a list</summary><div class="x-scroll short"><table class="tight"><thead><tr><th>Keys</th><th>State</th><th class="number">Count</th><th>Reason</th></tr></thead>
    <tbody>{lines.slice(0, MAX_RANGES).map((line) => <tr key={line.start}>
      <td><button type="button" class="quiet" onClick={() => onSelect(line.start)}>{keys[line.start]}</button>{line.number > 1 && <> to {keys[line.start + line.number - 1]}</>}</td>
      <td><Badge state={line.state} /></td><td class="number">{formatNumber(line.number)}</td><td class="note">{line.reason}</td></tr>)}</tbody></table></div></details>;
}

