import { useState } from "preact/hooks";
import { get, useApi, type AssetDetail, type Comparison, type Event, type Live, type Preview, type Project, type Series } from "../api";
import { ActionButton } from "../actions";
import { Chart } from "../chart";
import { formatDuration, formatKind, formatNumber, formatSize, reasonOf } from "../format";
import { PartitionGrid } from "../grid";
import { Markup } from "../markup";
import { Metadata } from "../metadata";
import { assetPath, Badge, Copy, handlerPath, Link, Loaded, Tabs, Time, useQuery } from "../parts";

export function AssetPage({ name, live, project }: { name: string; live: Live; project: Project | null }) {
  const path = `assets/${encodeURIComponent(name)}`;
  const answer = useApi<AssetDetail>(path, live.token);
  return (
    <>
      <p class="crumbs"><Link to="/assets">Assets</Link> /</p>
      <h1>{name}</h1>
      <Loaded answer={answer}>{(asset) => (
        <>
          <p class="headline"><Badge state={asset.state} /><span>{reasonOf(asset.state, asset.detail)}</span></p>
          {asset.description && <div class="markdown description"><Markup tree={asset.description} /></div>}
          <Facts asset={asset} />
          <Neighbors asset={asset} />
          <Tabs tabs={[
            ...(asset.partitions === null ? [] : [["partitions", "Partitions", () => <PartitionGrid name={name} path={path} version={live.token} />] as const]),
            ["events", "Events", () => <EventsTab path={path} version={live.token} />],
            ["metadata", "Metadata", () => <MetadataTab path={path} version={live.token} />],
            ["compare", "Compare", () => <CompareTab path={path} version={live.token} />],
            ["value", "Value", () => <ValueTab asset={asset} path={path} isAllowed={project?.preview !== false} />],
            ["definition", "Definition", () => <DefinitionTab asset={asset} />],
          ].map(([id, title, content]) => [id, title, content] as [string, string, () => preact.ComponentChildren])} />
        </>
      )}</Loaded>
    </>
  );
}

function Facts({ asset }: { asset: AssetDetail }) {
  const isWhole = asset.partitions === null;
  return (
    <dl class="facts card">
      <div><dt>Handler</dt><dd><Link to={handlerPath(asset.handler)} class="chip">{asset.handler}</Link><span class="note">{asset.handler_reason}</span></dd></div>
      {asset.at !== null && <div><dt>Stored</dt><dd><Time at={asset.at} /><span class="note">run <Link to={`/runs/${asset.run_id}`}>{asset.run_id?.slice(0, 8)}</Link>{asset.duration !== null && `, ${formatDuration(asset.duration)}`}</span></dd></div>}
      {asset.rows !== null && <div><dt>Rows</dt><dd><b>{formatNumber(asset.rows)}</b>{!isWhole && <span class="note">in the last partition</span>}</dd></div>}
      {asset.size !== null && <div><dt>Size</dt><dd><b>{formatSize(asset.size)}</b>{!isWhole && <span class="note">of the last partition</span>}</dd></div>}
      {!isWhole && <div><dt>Partitions</dt><dd><b>{formatNumber(asset.counts[0] + asset.counts[1])}</b><span class="note">of {formatNumber(asset.partitions ?? 0)} stored</span></dd></div>}
      {asset.group && <div><dt>Group</dt><dd><Link to={`/assets?select=${encodeURIComponent(`group:${asset.group}`)}`}>{asset.group}</Link></dd></div>}
      {asset.kinds.length > 0 && <div><dt>Kinds</dt><dd>{asset.kinds.join(", ")}</dd></div>}
      {asset.data_version && <div><dt>Data version</dt><dd><Copy text={asset.data_version} label={asset.data_version.slice(0, 12)} /></dd></div>}
      {asset.code_version && <div><dt>Code version</dt><dd><code>{asset.code_version.slice(0, 16)}</code></dd></div>}
      {asset.address && <div class="long"><dt>Address</dt><dd><Copy text={asset.address} /></dd></div>}
      {asset.state !== "external" && <div class="long"><dt>Materialize</dt><dd><Copy text={`rivers materialize ${asset.name}`} />
        {isWhole && <ActionButton label="Materialize" question="Run this asset and store its result?" command={`rivers materialize ${asset.name}`} path="runs" body={{ select: asset.name }} />}</dd></div>}
    </dl>
  );
}

function Neighbors({ asset }: { asset: AssetDetail }) {
  return (
    <section class="neighbors card" aria-label="Neighbors">
      <Names title="Upstream" names={asset.upstream} />
      <div class="self"><span class="arrow" aria-hidden="true">→</span><span class={`node-chip ${asset.state}`}>{asset.name}</span><span class="arrow" aria-hidden="true">→</span></div>
      <Names title="Downstream" names={asset.downstream} />
      <Link to={`/lineage?focus=${encodeURIComponent(asset.name)}`} class="more">lineage</Link>
    </section>
  );
}

const MAX_NAMES = 12;

function Names({ title, names }: { title: string; names: string[] }) {
  const [isOpen, setOpen] = useState(false);
  const shown = isOpen ? names : names.slice(0, MAX_NAMES);
  return <div class="names"><h2>{title}</h2>{names.length ? shown.map((name) => <Link key={name} to={assetPath(name)} class="chip">{name}</Link>) : <span class="note">none</span>}
    {shown.length < names.length && <button type="button" class="quiet" onClick={() => setOpen(true)}>{names.length - shown.length} more</button>}</div>;
}

interface EventList { events: Event[]; truncated: boolean }

function EventsTab({ path, version }: { path: string; version: string }) {
  const answer = useApi<EventList>(`${path}/events`, version);
  const [older, setOlder] = useState<EventList | null>(null);
  return <section class="card"><Loaded answer={answer}>{(list) => {
    const events = [...list.events, ...(older?.events ?? [])];
    const isTruncated = older ? older.truncated : list.truncated;
    return <><Events events={events} />{isTruncated && <p><button type="button" onClick={() => {
      void get<EventList>(`${path}/events?before=${events.at(-1)?.id ?? 0}`).then((more) => setOlder({ events: [...(older?.events ?? []), ...more.events], truncated: more.truncated }));
    }}>Show older events</button></p>}</>;
  }}</Loaded></section>;
}

const BAD = ["StepFailure", "RunFailure", "RunInterrupted"];

export function Events({ events, withAsset = false }: { events: Event[]; withAsset?: boolean }) {
  const [first] = useState(withAsset ? null : events[0]?.id);
  if (!events.length) return <p class="empty">No events yet.</p>;
  return (
    <ul class="events">{events.map((event) => (
      <li key={`${event.id} ${event.event}`} class={BAD.includes(event.event) ? "bad" : ""}>
        <details open={event.id === first}><summary><span class={`kind ${event.event}`}>{event.event}</span>
          {withAsset && event.asset && <Link to={assetPath(event.asset)} class="name">{event.asset}</Link>}
          {event.partition && <span class="chip">{event.partition.length > 60 ? `${event.partition.slice(0, 59)}…` : event.partition}</span>}
          {event.attempt > 1 && <span class="note">attempt {event.attempt}</span>}
          {event.message && <span class="note message">{event.message.split("\n")[0]}</span>}
          <span class="note end">{event.size != null && `${formatSize(event.size)} · `}{event.duration_s != null && `${formatDuration(event.duration_s)} · `}<Time at={event.at} /></span></summary>
          {event.message && <pre class={BAD.includes(event.event) ? "bad" : ""}>{event.message}</pre>}
          <EventFacts event={event} withRun={!withAsset} />
        </details></li>
    ))}</ul>
  );
}

export function EventFacts({ event, withRun }: { event: Event; withRun: boolean }) {
  const inputs = Object.entries(event.inputs);
  return (
    <dl class="pairs">
      {withRun && <><dt>Run</dt><dd><Link to={`/runs/${event.run_id}`}>{event.run_id.slice(0, 8)}</Link></dd></>}
      {event.data_version && <><dt>Data version</dt><dd><Copy text={event.data_version} label={event.data_version.slice(0, 16)} /></dd></>}
      {event.code_version && <><dt>Code version</dt><dd><code>{event.code_version.slice(0, 16)}</code></dd></>}
      {inputs.length > 0 && <><dt>Made from</dt><dd>{inputs.map(([name, version]) => <span key={name} class="chip">{name} <span class="note">{version.slice(0, 8)}</span></span>)}</dd></>}
      {event.metadata.map(([key, value]) => <><dt key={key}>{key}</dt><dd><Metadata value={value} /></dd></>)}
    </dl>
  );
}

function MetadataTab({ path, version }: { path: string; version: string }) {
  const answer = useApi<Series>(`${path}/series`, version);
  const [query, setQuery] = useQuery();
  const events = useApi<EventList>(`${path}/events?limit=1`, version);
  const text = (query.get("key") ?? "").toLowerCase();
  return <>
    <label class="filter small"><span class="sr">Search keys</span><input type="search" placeholder="Search keys" value={query.get("key") ?? ""} onInput={(event) => setQuery({ key: event.currentTarget.value })} /></label>
    <Loaded answer={answer}>{({ points, series }) => points.length ? <>
      <div class="charts">{series.filter(({ name }) => name.toLowerCase().includes(text)).map((item) => {
        const last = item.values.findLast((value) => value !== null) ?? null;
        return <section key={item.name} class="card chart"><h2>{item.name} <b>{last !== null && formatKind(item.kind, last)}</b></h2>
          <Chart points={points} values={item.values} kind={item.kind} name={item.name} /></section>;
      })}</div></> : <p class="empty card">Nothing has been stored yet.</p>}</Loaded>
    <Loaded answer={events}>{({ events: [last] }) => last ? <section class="card"><h2>Last event <span class="note"><Time at={last.at} /></span></h2>
      <EventFacts event={{ ...last, metadata: last.metadata.filter(([key]) => key.toLowerCase().includes(text)) }} withRun /></section> : null}</Loaded>
  </>;
}

function CompareTab({ path, version }: { path: string; version: string }) {
  const [query, setQuery] = useQuery();
  const answer = useApi<EventList>(`${path}/events?limit=1000`, version);
  return <section class="card"><Loaded answer={answer}>{({ events }) => {
    const stored = events.filter(({ event }) => event === "Materialization");
    if (stored.length < 2) return <p class="empty">Comparing needs two materializations; there {stored.length === 1 ? "is one" : "are none"}.</p>;
    const b = query.get("b") ?? String(stored[0]?.id), a = query.get("a") ?? String(stored[1]?.id);
    const choice = (name: string, value: string) => (
      <select aria-label={name === "a" ? "Before" : "After"} value={value} onChange={(event) => setQuery({ [name]: event.currentTarget.value })}>
        {stored.map((event) => <option key={event.id} value={String(event.id)}>{new Date(event.at).toLocaleString()}{event.partition ? ` [${event.partition}]` : ""} · {event.run_id.slice(0, 8)}</option>)}</select>);
    return <><div class="toolbar">{choice("a", a)}<span class="arrow">→</span>{choice("b", b)}</div><Differences path={`${path}/compare?a=${a}&b=${b}`} /></>;
  }}</Loaded></section>;
}

function Differences({ path }: { path: string }) {
  const answer = useApi<Comparison>(path, "");
  return <Loaded answer={answer}>{(result) => <>
    <table class="tight compare"><thead><tr><th><span class="sr">Fact</span></th><th>Before</th><th>After</th></tr></thead><tbody>
      <tr><th>stored</th><td><Time at={result.a.at} /></td><td><Time at={result.b.at} /></td></tr>
      {result.a.size !== null && result.b.size !== null && <Row name="size" a={formatSize(result.a.size)} b={formatSize(result.b.size)} isSame={result.a.size === result.b.size} note={change(result.a.size, result.b.size)} />}
      {result.a.duration_s !== null && result.b.duration_s !== null && <Row name="duration" a={formatDuration(result.a.duration_s)} b={formatDuration(result.b.duration_s)} isSame note={change(result.a.duration_s, result.b.duration_s)} />}
      {result.facts.map(([name, a, b]) => <Row key={name} name={name} a={a?.slice(0, 40)} b={b?.slice(0, 40)} isSame={a === b} />)}
      {result.inputs.map(([name, a, b]) => <Row key={name} name={`input ${name}`} a={a?.slice(0, 16)} b={b?.slice(0, 16)} isSame={a === b} />)}
    </tbody></table>
    {result.columns.length > 0 && <><h2>Columns</h2><table class="tight compare"><tbody>{result.columns.map(([name, a, b]) => (
      <Row key={name} name={name} a={a} b={b} isSame={a === b} note={a === null ? "added" : b === null ? "removed" : a !== b ? "type changed" : ""} />))}</tbody></table></>}
    {result.metadata.length > 0 && <><h2>Metadata</h2><table class="tight compare"><tbody>{result.metadata.filter(([, a, b]) => (a ?? b)?.type !== "schema").map(([name, a, b, isSame]) => (
      <Row key={name} name={name} a={a && <Metadata value={a} />} b={b && <Metadata value={b} />} isSame={isSame}
        note={typeof a?.value === "number" && typeof b?.value === "number" ? change(a.value, b.value) : ""} />))}</tbody></table></>}
  </>}</Loaded>;
}

function Row({ name, a, b, isSame, note }: { name: string; a: preact.ComponentChildren; b: preact.ComponentChildren; isSame: boolean; note?: string }) {
  return <tr class={isSame ? "same" : "changed"}><th scope="row">{name}</th><td>{a ?? <span class="note">–</span>}</td><td>{b ?? <span class="note">–</span>} {note && <span class="note">{note}</span>}</td></tr>;
}

function change(a: number, b: number): string {
  if (a === b || a === 0) return "";
  const percent = ((b - a) / Math.abs(a)) * 100;
  return `${percent > 0 ? "+" : "−"}${Math.abs(percent) < 10 ? Math.abs(percent).toFixed(1) : Math.round(Math.abs(percent))} %`;
}

function ValueTab({ asset, path, isAllowed }: { asset: AssetDetail; path: string; isAllowed: boolean }) {
  const [partition, setPartition] = useState("");
  const [request, setRequest] = useState<string | null>(null);
  const [isConfirming, setConfirming] = useState(false);
  const answer = useApi<Preview>(request, "");
  if (!isAllowed) return <section class="card"><p class="empty">Values are not shown: this server runs with <code>--no-preview</code>.</p></section>;
  const load = () => { setConfirming(false); setRequest(`${path}/preview?partition=${encodeURIComponent(partition)}${asset.runs_code ? "&confirm=1" : ""}&at=${Date.now()}`); };
  return (
    <section class="card">
      <div class="toolbar">
        {asset.partitions !== null && <input aria-label="Partition key" placeholder="Partition key" value={partition} onInput={(event) => setPartition(event.currentTarget.value.trim())} />}
        <button type="button" class="primary" disabled={asset.partitions !== null && !partition} onClick={() => (asset.runs_code ? setConfirming(true) : load())}>Load first 50 rows</button>
        <span class="note">with <b>{asset.handler}</b>, for at most 10 s</span></div>
      {isConfirming && <div class="problem warn" role="alert"><p>Loading a value of <b>{asset.handler}</b> runs code that is part of the stored value. Load it only if you trust what is stored.</p>
        <button type="button" onClick={load}>Load it</button></div>}
      {request && <Loaded answer={answer}>{(value) => <PreviewTable value={value} />}</Loaded>}
    </section>
  );
}

function PreviewTable({ value }: { value: Preview }) {
  return <><p class="note"><code>{value.type}</code>{value.extent && `, ${value.extent}`}{value.hidden ? `, ${value.hidden} columns are not shown` : ""}</p>
    {value.rows && value.columns ? <div class="x-scroll"><table class="tight data"><thead><tr>{value.columns.map((name) => <th key={name}>{name}</th>)}</tr></thead>
      <tbody>{value.rows.map((row, index) => <tr key={index}>{row.map((cell, column) => <td key={column} class={typeof cell === "number" ? "number" : ""}>
        {cell === null ? <span class="note">null</span> : String(cell)}</td>)}</tr>)}</tbody></table></div> : <pre>{value.text}</pre>}</>;
}

function DefinitionTab({ asset }: { asset: AssetDetail }) {
  return (
    <section class="card"><dl class="pairs">
      {asset.type && <><dt>Type</dt><dd><code>{asset.type}</code></dd></>}
      {asset.partitions_def && <><dt>Partitions</dt><dd><code>{asset.partitions_def}</code></dd></>}
      {asset.tags.length > 0 && <><dt>Tags</dt><dd>{asset.tags.map((tag) => <span key={tag} class="chip">{tag}</span>)}</dd></>}
      {asset.options.map(([name, value]) => <><dt key={name}>{name}</dt><dd class="text">{value}</dd></>)}
      {asset.source && <><dt>Function</dt><dd><Copy text={`${asset.source.file}:${asset.source.line}`} /></dd></>}
    </dl>{asset.source ? <pre class="source" tabIndex={0}><Markup tree={asset.source.tree} /></pre> : <p class="note">This asset has no function.</p>}</section>
  );
}
