import { render, type ComponentChildren } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { useApi, useLive, type Answer, type Asset, type AssetDetail, type Event, type Handler, type Lineage, type Live,
  type Plugin, type Project, type Run, type RunDetail } from "./api";
import { formatAge, formatDuration, formatSize, stateOf, type State } from "./format";

const SYMBOLS: Record<State, string> = {
  fresh: "✓", stale: "↻", missing: "○", failed: "✕", external: "◇", partial: "◐",
};
const RUN_SYMBOLS: Record<string, string> = { Success: "✓", Failure: "✕", Started: "●", Canceled: "–", Interrupted: "!" };

function go(path: string): void {
  history.pushState(null, "", path);
  window.dispatchEvent(new PopStateEvent("popstate"));
}

function Link({ to, children, ...rest }: { to: string; children: ComponentChildren; class?: string; current?: boolean }) {
  return (
    <a href={to} class={rest.class} aria-current={rest.current ? "page" : undefined} onClick={(event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      go(to);
    }}>{children}</a>
  );
}

const assetPath = (name: string) => `/assets/${encodeURIComponent(name)}`;

function Badge({ state }: { state: State }) {
  return <span class={`badge ${state}`}><span aria-hidden="true">{SYMBOLS[state]}</span> {state}</span>;
}

function RunBadge({ status }: { status: string }) {
  const name = status === "Started" ? "running" : status.toLowerCase();
  return <span class={`badge run-${name}`}><span aria-hidden="true">{RUN_SYMBOLS[status] ?? "·"}</span> {name}</span>;
}

function Time({ iso }: { iso: string }) {
  return <time dateTime={iso} title={new Date(iso).toLocaleString()}>{formatAge(iso)}</time>;
}

function Loaded<T>({ answer, children }: { answer: Answer<T>; children: (data: T) => ComponentChildren }) {
  const { data, error } = answer;
  if (error) {
    return (
      <div class="problem" role="alert">
        <strong>{error.status === 401 ? "This tab has no valid token" : "Could not load this page"}</strong>
        <p>{error.message}</p>
        {error.detail && <pre>{error.detail}</pre>}
      </div>
    );
  }
  return data === null ? <p class="loading" role="status">Loading…</p> : <>{children(data)}</>;
}

function Copy({ text }: { text: string }) {
  const [isCopied, setCopied] = useState(false);
  return (
    <button type="button" class="copy" title={text} onClick={() => {
      void navigator.clipboard.writeText(text).then(() => setCopied(true));
    }}>{isCopied ? "Copied" : <code>{text}</code>}</button>
  );
}

function Overview({ live }: { live: Live }) {
  const assets = useApi<Asset[]>("assets", live.token);
  const runs = useApi<{ runs: Run[] }>("runs?limit=10", live.token);
  return (
    <>
      <h1>Overview</h1>
      <Loaded answer={assets}>{(list) => <Counts assets={list} />}</Loaded>
      <div class="columns">
        <section class="card">
          <h2>Needs attention</h2>
          <Loaded answer={assets}>{(list) => {
            const rank: State[] = ["failed", "stale", "partial", "missing"];
            const due = list.filter((asset) => rank.includes(stateOf(asset)))
              .sort((a, b) => rank.indexOf(stateOf(a)) - rank.indexOf(stateOf(b)));
            if (!list.length) return <p class="empty">This project has no assets yet.</p>;
            if (!due.length) return <p class="empty">Everything is fresh.</p>;
            return <ul class="list">{due.slice(0, 20).map((asset) => (
              <li key={asset.asset}><Badge state={stateOf(asset)} /><div>
                <Link to={assetPath(asset.asset)} class="name">{asset.asset}</Link>
                <span class="note">{asset.state}</span></div></li>
            ))}</ul>;
          }}</Loaded>
        </section>
        <section class="card">
          <h2>Latest runs</h2>
          <Loaded answer={runs}>{(answer) => <RunList runs={answer.runs} />}</Loaded>
        </section>
      </div>
    </>
  );
}

function Counts({ assets }: { assets: Asset[] }) {
  const counts = new Map<State, number>();
  for (const asset of assets) counts.set(stateOf(asset), (counts.get(stateOf(asset)) ?? 0) + 1);
  const states: State[] = ["fresh", "stale", "partial", "missing", "failed", "external"];
  return (
    <div class="counts">{states.filter((state) => counts.has(state) || state === "fresh").map((state) => (
      <Link key={state} to={`/assets?state=${state}`} class={`count ${state}`}>
        <strong>{counts.get(state) ?? 0}</strong><span><i aria-hidden="true">{SYMBOLS[state]}</i> {state}</span>
      </Link>
    ))}</div>
  );
}

function RunList({ runs }: { runs: Run[] }) {
  if (!runs.length) return <p class="empty">No runs yet. Start one with <code>rivers materialize</code>.</p>;
  return <ul class="list">{runs.map((run) => (
    <li key={run.run_id}><RunBadge status={run.status} /><div>
      <Link to={`/runs/${run.run_id}`} class="name">{run.run_id.slice(0, 8)}</Link>
      <span class="note">{describeRun(run)} · <Time iso={run.started} />
        {run.ended && ` · ${formatDuration((Date.parse(run.ended) - Date.parse(run.started)) / 1000)}`}</span></div></li>
  ))}</ul>;
}

function describeRun(run: Run): string {
  const text = run.job ? `job ${run.job}` : run.selection ? run.selection.slice(0, 3).join(", ") : "all assets";
  const more = !run.job && run.selection && run.selection.length > 3 ? ` and ${run.selection.length - 3} more` : "";
  return text + more + (run.partition ? ` [${run.partition}]` : "");
}

function useQuery(): [URLSearchParams, (name: string, value: string) => void] {
  const query = new URLSearchParams(location.search);
  return [query, (name, value) => {
    const changed = new URLSearchParams(location.search);
    if (value) changed.set(name, value); else changed.delete(name);
    const text = changed.toString();
    go(location.pathname + (text ? `?${text}` : ""));
  }];
}

function SelectBox() {
  const [query, setQuery] = useQuery();
  const current = query.get("select") ?? "";
  const [text, setText] = useState(current);
  useEffect(() => setText(current), [current]);
  return (
    <form class="select" role="search" onSubmit={(event) => { event.preventDefault(); setQuery("select", text.trim()); }}>
      <input id="search" aria-label="Selection" value={text} placeholder="Select: name, group:x, +name, handler:x"
        onInput={(event) => setText(event.currentTarget.value)} autocomplete="off" spellcheck={false} />
      <button type="submit">Select</button>
      {current && <button type="button" onClick={() => setQuery("select", "")}>Clear</button>}
    </form>
  );
}

const ROW = 41;

function Assets({ live }: { live: Live }) {
  const [query, setQuery] = useQuery();
  const answer = useApi<Asset[]>(`assets?select=${encodeURIComponent(query.get("select") ?? "")}`, live.token);
  const state = query.get("state") ?? "";
  return (
    <>
      <h1>Assets</h1>
      <div class="toolbar">
        <SelectBox />
        <select aria-label="State" value={state} onChange={(event) => setQuery("state", event.currentTarget.value)}>
          <option value="">any state</option>
          {Object.keys(SYMBOLS).map((name) => <option key={name} value={name}>{name}</option>)}
        </select>
        <Link to={`/lineage${location.search}`} class="button">Lineage</Link>
      </div>
      <Loaded answer={answer}>{(list) => (
        <AssetTable assets={state ? list.filter((asset) => stateOf(asset) === state) : list} />
      )}</Loaded>
    </>
  );
}

/** Table of assets that only has the rows in view in the document. */
function AssetTable({ assets }: { assets: Asset[] }) {
  const [top, setTop] = useState(0);
  if (!assets.length) return <p class="empty">No assets match.</p>;
  const first = Math.max(0, Math.floor(top / ROW) - 10);
  const shown = assets.slice(first, first + 60);
  return (
    <div class="scroll card flush" tabIndex={0} role="region" aria-label="Assets"
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}>
      <table aria-rowcount={assets.length + 1}>
        <thead><tr><th>State</th><th>Asset</th><th class="wide">Group</th><th class="wide">Handler</th>
          <th>Stored</th><th class="wide number">Size</th><th class="wide">Partitions</th></tr></thead>
        <tbody>
          {first > 0 && <tr class="spacer"><td colSpan={7}><svg width="1" height={first * ROW} aria-hidden="true" /></td></tr>}
          {shown.map((asset, index) => (
            <tr key={asset.asset} aria-rowindex={first + index + 2} class="row">
              <td title={asset.state}><Badge state={stateOf(asset)} /></td>
              <td><Link to={assetPath(asset.asset)} class="name">{asset.asset}</Link></td>
              <td class="wide note">{asset.group ?? ""}</td>
              <td class="wide"><span class="chip">{asset.handler}</span></td>
              <td class="note">{asset.last && <Time iso={asset.last.at} />}</td>
              <td class="wide number">{asset.last?.size_bytes != null && asset.values.length < 2 && formatSize(asset.last.size_bytes)}</td>
              <td class="wide"><PartitionBar values={asset.values} /></td>
            </tr>
          ))}
          {first + shown.length < assets.length && <tr class="spacer"><td colSpan={7}>
            <svg width="1" height={(assets.length - first - shown.length) * ROW} aria-hidden="true" /></td></tr>}
        </tbody>
      </table>
    </div>
  );
}

function PartitionBar({ values }: { values: Asset["values"] }) {
  if (!values.some((value) => value.partition !== null)) return null;
  const fresh = values.filter((value) => value.state === "fresh").length;
  const stale = values.filter((value) => value.state === "stale").length;
  return (
    <span class="bar"><svg viewBox={`0 0 ${values.length} 1`} preserveAspectRatio="none" aria-hidden="true">
      <rect class="rest" width={values.length} height="1" /><rect class="fresh" width={fresh} height="1" />
      <rect class="stale" x={fresh} width={stale} height="1" /></svg> {fresh + stale} of {values.length}</span>
  );
}

function AssetPage({ name, live }: { name: string; live: Live }) {
  const path = `assets/${encodeURIComponent(name)}`;
  const answer = useApi<AssetDetail>(path, live.token);
  const events = useApi<{ events: Event[]; truncated: boolean }>(`${path}/events`, live.token);
  return (
    <>
      <p class="crumbs"><Link to="/assets">Assets</Link> /</p>
      <h1>{name}</h1>
      <Loaded answer={answer}>{(asset) => (
        <>
          <p class="headline"><Badge state={stateOf(asset)} /> <span>{asset.state}</span></p>
          {asset.description && <p class="description">{asset.description}</p>}
          <div class="columns">
            <section class="card"><h2>Definition</h2><dl>
              <dt>Handler</dt><dd><Link to={`/handlers#${asset.handler}`} class="chip">{asset.handler}</Link> <span class="note">{asset.handler_reason}</span></dd>
              {asset.group && <><dt>Group</dt><dd><Link to={`/assets?select=${encodeURIComponent(`group:${asset.group}`)}`}>{asset.group}</Link></dd></>}
              {asset.kinds.length > 0 && <><dt>Kinds</dt><dd>{asset.kinds.join(", ")}</dd></>}
              {asset.last && <><dt>Stored</dt><dd><Time iso={asset.last.at} /> by run <Link to={`/runs/${asset.last.run_id}`}>{asset.last.run_id.slice(0, 8)}</Link></dd>
                {asset.last.size_bytes != null && <><dt>Size</dt><dd>{formatSize(asset.last.size_bytes)}</dd></>}
                {asset.last.data_version && <><dt>Data version</dt><dd><code>{asset.last.data_version.slice(0, 16)}</code></dd></>}</>}
              {!asset.external && <><dt>Materialize</dt><dd><Copy text={`rivers materialize ${name}`} /></dd></>}
            </dl></section>
            <section class="card"><h2>Neighbors</h2><dl>
              <dt>Upstream</dt><dd><Names names={asset.upstream} /></dd>
              <dt>Downstream</dt><dd><Names names={asset.downstream} /></dd>
              <dt>Lineage</dt><dd><Link to={`/lineage?select=${encodeURIComponent(name)}`}>Show around this asset</Link></dd>
            </dl></section>
          </div>
          {asset.values.some((value) => value.partition !== null) && <Partitions values={asset.values} />}
        </>
      )}</Loaded>
      <section class="card"><h2>Events</h2>
        <Loaded answer={events}>{(list) => <Events events={list.events} truncated={list.truncated} />}</Loaded>
      </section>
    </>
  );
}

function Names({ names }: { names: string[] }) {
  if (!names.length) return <span class="note">none</span>;
  return <>{names.map((name) => <Link key={name} to={assetPath(name)} class="chip">{name}</Link>)}</>;
}

const MAX_CELLS = 2000;

function Partitions({ values }: { values: Asset["values"] }) {
  const [selected, setSelected] = useState<Asset["values"][number] | null>(null);
  const shown = values.slice(-MAX_CELLS);
  const counts = ["fresh", "stale", "missing"].map((state) =>
    `${values.filter((value) => value.state === state).length} ${state}`).join(", ");
  return (
    <section class="card"><h2>Partitions</h2><p class="note">{counts}
      {shown.length < values.length && `; the last ${MAX_CELLS} of ${values.length} keys are shown`}</p>
      <div class="cells">{shown.map((value) => (
        <button key={value.partition} type="button" class={`cell ${value.state}`} onClick={() => setSelected(value)}
          title={`${value.partition}: ${value.state}`} aria-label={`${value.partition}: ${value.state}`}>
          {SYMBOLS[value.state as State] ?? "·"}</button>
      ))}</div>
      {selected && <p role="status"><strong>{selected.partition}</strong> {selected.state}{selected.reason && `: ${selected.reason}`}</p>}
    </section>
  );
}

function Events({ events, truncated = false, withAsset = false }: { events: Event[]; truncated?: boolean; withAsset?: boolean }) {
  if (!events.length) return <p class="empty">No events yet.</p>;
  return (
    <>
      {truncated && <p class="note">Only the newest {events.length} events are shown.</p>}
      <ul class="events">{events.map((event) => (
        <li key={event.id} class={event.event === "StepFailure" || event.event === "RunFailure" ? "bad" : ""}>
          <details><summary><span class="kind">{event.event}</span>
            {withAsset && event.asset && <Link to={assetPath(event.asset)} class="name">{event.asset}</Link>}
            {event.partition && <span class="chip">{event.partition}</span>}
            {event.attempt > 1 && <span class="note">attempt {event.attempt}</span>}
            {event.duration_s != null && <span class="note">{formatDuration(event.duration_s)}</span>}
            <span class="note end"><Time iso={event.at} /></span></summary>
            {event.message && <pre>{event.message}</pre>}
            {!withAsset && <p class="note">Run <Link to={`/runs/${event.run_id}`}>{event.run_id.slice(0, 8)}</Link></p>}
            <dl>{event.metadata.map(([key, kind, text]) => <><dt key={key}>{key}</dt><dd><Metadata kind={kind} text={text} /></dd></>)}</dl>
          </details></li>
      ))}</ul>
    </>
  );
}

function Metadata({ kind, text }: { kind: string; text: string }) {
  if (kind === "url" && /^https?:\/\//i.test(text)) return <a href={text} rel="noopener noreferrer" target="_blank">{text}</a>;
  if (["json", "sql", "code_block", "md", "list"].includes(kind)) return <pre>{text}</pre>;
  return <span class={["int", "float", "bytes"].includes(kind) ? "number" : ""}>{text}</span>;
}

function Runs({ live }: { live: Live }) {
  const answer = useApi<{ runs: Run[]; truncated: boolean }>("runs", live.token);
  return <><h1>Runs</h1><section class="card"><Loaded answer={answer}>{(list) => <>
    {list.truncated && <p class="note">Only the newest {list.runs.length} runs are shown.</p>}<RunList runs={list.runs} /></>}</Loaded></section></>;
}

function RunPage({ id, live }: { id: string; live: Live }) {
  const answer = useApi<RunDetail>(`runs/${encodeURIComponent(id)}`, live.token);
  return (
    <>
      <p class="crumbs"><Link to="/runs">Runs</Link> /</p>
      <h1>{id.slice(0, 8)}</h1>
      <Loaded answer={answer}>{(run) => {
        const steps = (type: string) => new Set(run.events.filter((event) => event.event === type).map((event) => event.step ?? event.asset));
        const failed = steps("StepFailure"), done = steps("Materialization");
        const count = [...done].filter((step) => !failed.has(step)).length;
        return (
          <>
            <p class="headline"><RunBadge status={run.status} /> <span>{describeRun(run)}, started <Time iso={run.started} />
              {run.ended && `, ${formatDuration((Date.parse(run.ended) - Date.parse(run.started)) / 1000)}`}</span></p>
            <section class="card"><h2>Progress</h2>
              <progress max={Math.max(1, run.steps.length)} value={Math.min(count + failed.size, run.steps.length)} aria-label="Steps" />
              <p class="note">{count} done{failed.size > 0 && `, ${failed.size} failed`} of {run.steps.length} steps</p>
              {run.message && <pre class="bad">{run.message}</pre>}
              {["Failure", "Interrupted", "Canceled"].includes(run.status) && <p>Complete it with <Copy text={`rivers materialize --resume ${run.run_id}`} /></p>}
              {run.status === "Interrupted" && <p class="note">The process of this run ended without reporting an end.</p>}
            </section>
            <Timeline run={run} />
            <section class="card"><h2>Events</h2><Events events={run.events} truncated={run.truncated} withAsset /></section>
          </>
        );
      }}</Loaded>
    </>
  );
}

/** Bars of the steps over the time of the run, from the end and the duration of each event. */
function Timeline({ run }: { run: RunDetail }) {
  const start = Date.parse(run.started);
  const bars = run.events.filter((event) => event.asset && event.duration_s != null).slice(0, 200).map((event) => {
    const end = Date.parse(event.at) - start;
    return { event, end, begin: Math.max(0, end - (event.duration_s ?? 0) * 1000) };
  });
  if (!bars.length) return null;
  const total = Math.max(1, ...bars.map((bar) => bar.end));
  return (
    <section class="card"><h2>Timeline</h2><div class="timeline">{bars.map(({ event, begin, end }) => (
      <div key={event.id} class="lane"><span class="lane-name" title={event.asset ?? ""}>{event.asset}{event.partition && ` [${event.partition}]`}</span>
        <svg viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label={`${event.asset}: ${formatDuration(event.duration_s ?? 0)}`}>
          <rect x={(begin / total) * 1000} width={Math.max(4, ((end - begin) / total) * 1000)} height="10" rx="2"
            class={event.event === "StepFailure" ? "failed" : "fresh"} /></svg>
        <span class="note">{formatDuration(event.duration_s ?? 0)}</span></div>
    ))}</div></section>
  );
}

function LineagePage({ live }: { live: Live }) {
  const [query] = useQuery();
  const select = encodeURIComponent(query.get("select") ?? "");
  const lineage = useApi<Lineage>(`lineage?select=${select}`, "");
  const assets = useApi<Asset[]>("assets", live.token);
  const states = useMemo(() => new Map((assets.data ?? []).map((asset) => [asset.asset, stateOf(asset)])), [assets.data]);
  return <><h1>Lineage</h1><div class="toolbar"><SelectBox /><Link to={`/assets${location.search}`} class="button">Table</Link></div>
    <Loaded answer={lineage}>{(graph) => graph.assets.length
      ? <Graph graph={graph} states={states} /> : <p class="empty">No assets match.</p>}</Loaded></>;
}

const MARGIN = 24;
const MAX_NODES = 400;

function Graph({ graph, states }: { graph: Lineage; states: Map<string, State> }) {
  const [zoom, setZoom] = useState(1);
  if (graph.assets.length > MAX_NODES) {
    return <p class="problem">{graph.assets.length} assets are too many to read in one drawing. Select some, such as <code>group:x</code> or <code>1+name</code>.</p>;
  }
  const width = graph.width + 2 * MARGIN, height = graph.height + 2 * MARGIN;
  return (
    <>
      <div class="legend">{(Object.keys(SYMBOLS) as State[]).map((state) => <Badge key={state} state={state} />)}
        <span class="end"><button type="button" aria-label="Zoom out" onClick={() => setZoom(Math.max(0.25, zoom / 1.25))}>−</button>{" "}
          <button type="button" aria-label="Zoom in" onClick={() => setZoom(Math.min(2, zoom * 1.25))}>+</button></span></div>
      <div class="canvas card flush" tabIndex={0} role="region" aria-label="Lineage graph">
        <svg width={width * zoom} height={height * zoom} viewBox={`${-MARGIN} ${-MARGIN} ${width} ${height}`}>
          {graph.edges.map((edge, index) => <path key={`${edge.from} ${edge.to}`} d={curve(graph.paths[index] ?? [])}
            class={edge.loaded ? "edge" : "edge order"} />)}
          {graph.assets.map((node) => {
            const box = graph.boxes[node.name];
            if (!box) return null;
            const state = states.get(node.name) ?? (node.external ? "external" : "missing");
            return (
              <a key={node.name} href={assetPath(node.name)} aria-label={`${node.name}: ${state}, ${node.handler}`}
                onClick={(event) => { event.preventDefault(); go(assetPath(node.name)); }}>
                <title>{`${node.name}: ${state}, stored by ${node.handler}`}</title>
                <rect x={box.x} y={box.y - box.height / 2} width={box.width} height={box.height} rx="6" class={`node ${state}`} />
                {node.partitioned && <rect x={box.x + 3} y={box.y - box.height / 2 + 3} width={box.width - 6} height={box.height - 6} rx="4" class="node inner" />}
                <text x={box.x + 12} y={box.y + 4.5}><tspan class={`symbol ${state}`}>{SYMBOLS[state]}</tspan> {node.name.length > 40 ? `${node.name.slice(0, 39)}…` : node.name}</text>
              </a>
            );
          })}
        </svg>
      </div>
    </>
  );
}

function curve(points: [number, number, number][]): string {
  let path = "";
  points.forEach(([right, y, left], index) => {
    const previous = points[index - 1];
    if (!previous) { path = `M${right} ${y}`; return; }
    const middle = (previous[0] + left) / 2;
    path += ` C${middle} ${previous[1]} ${middle} ${y} ${left} ${y}`;
    if (index < points.length - 1) path += ` L${right} ${y}`;
  });
  return path;
}

function Handlers() {
  const answer = useApi<Handler[]>("handlers", "");
  return <><h1>Handlers</h1><Loaded answer={answer}>{(list) => list.map((handler) => (
    <section key={handler.name} id={handler.name} class="card"><h2>{handler.name} <span class="note">{handler.class}</span></h2>
      {handler.problem && <p class="problem">{handler.problem}</p>}
      <p><Names names={handler.assets.slice(0, 50)} />{handler.assets.length > 50 && ` and ${handler.assets.length - 50} more`}</p>
      {handler.fields.length > 0 && <details><summary>Settings</summary><div class="x-scroll"><table><thead><tr><th>Setting</th><th>Value</th><th>Origin</th></tr></thead>
        <tbody>{handler.fields.map((field) => <tr key={field.field}><td><code>{field.field}</code></td><td>{field.value}</td><td class="note">{field.origin}</td></tr>)}</tbody></table></div></details>}
    </section>
  ))}</Loaded></>;
}

function Plugins() {
  const answer = useApi<Plugin[]>("plugins", "");
  return <><h1>Plugins</h1><section class="card flush x-scroll"><Loaded answer={answer}>{(list) => (
    <table><thead><tr><th>Distribution</th><th>Version</th><th>State</th><th>Provides</th></tr></thead><tbody>{list.map((plugin) => (
      <tr key={`${plugin.distribution} ${plugin.entry_point}`}><td class="name">{plugin.distribution}</td><td>{plugin.version}</td><td>{plugin.state}</td>
        <td>{plugin.provides.join(", ") || plugin.entry_point}{plugin.error && <p class="note">{plugin.error}</p>}</td></tr>
    ))}</tbody></table>
  )}</Loaded></section></>;
}

function View({ path, live }: { path: string; live: Live }) {
  if (path.startsWith("/assets/")) return <AssetPage name={decodeURIComponent(path.slice(8))} live={live} />;
  if (path.startsWith("/runs/")) return <RunPage id={decodeURIComponent(path.slice(6))} live={live} />;
  if (path === "/assets") return <Assets live={live} />;
  if (path === "/lineage") return <LineagePage live={live} />;
  if (path === "/runs") return <Runs live={live} />;
  if (path === "/handlers") return <Handlers />;
  if (path === "/plugins") return <Plugins />;
  return <Overview live={live} />;
}

const PAGES = [["/", "Overview"], ["/assets", "Assets"], ["/lineage", "Lineage"], ["/runs", "Runs"],
  ["/handlers", "Handlers"], ["/plugins", "Plugins"]] as const;

function App() {
  const [, setLocation] = useState(location.href);
  const live = useLive();
  const project = useApi<Project>("project", "");
  useEffect(() => {
    const update = () => setLocation(location.href);
    const search = (event: KeyboardEvent) => {
      const isTyping = event.target instanceof HTMLInputElement;
      if ((event.key === "/" && !isTyping) || (event.key === "k" && (event.ctrlKey || event.metaKey))) {
        event.preventDefault();
        if (!document.getElementById("search")) go("/assets");
        window.setTimeout(() => document.getElementById("search")?.focus(), 0);
      }
    };
    window.addEventListener("popstate", update);
    window.addEventListener("keydown", search);
    return () => { window.removeEventListener("popstate", update); window.removeEventListener("keydown", search); };
  }, []);
  const path = location.pathname;
  const section = PAGES.find(([to]) => to !== "/" && path.startsWith(to));
  useEffect(() => { document.title = `${section?.[1] ?? "Overview"} · ${project.data?.name ?? "rivers"}`; });
  return (
    <>
      <header>
        <Link to="/" class="brand"><img src="/static/icon.svg" alt="" width="24" height="24" /> {project.data?.name ?? "rivers"}</Link>
        {project.data?.environment && <span class="chip">{project.data.environment}</span>}
        <nav aria-label="Pages">{PAGES.map(([to, title]) => (
          <Link key={to} to={to} current={to === (section?.[0] ?? "/")}>{title}</Link>))}</nav>
        <span class={`live ${live.state}`} role="status">{live.running.length
          ? <Link to={`/runs/${live.running[0]?.run_id}`}>{live.running.length} running</Link> : live.state}</span>
      </header>
      <main><View key={path} path={path} live={live} /></main>
    </>
  );
}

const root = document.getElementById("app");
if (root) render(<App />, root);
