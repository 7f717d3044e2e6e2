// Handlers, plugins, log and configuration.
import { useMemo, useState } from "preact/hooks";
import { useApi, useAssets, type Config, type Field, type Handler, type Live, type LogLine, type Plugin, type Project, type RunDetail } from "../api";
import { count, formatNumber, STATES } from "../format";
import { assetPath, Copy, handlerPath, Link, Loaded, StackedBar, useQuery } from "../parts";
import { Check, countStates } from "./overview";

/** All handlers, or one. */
export function Handlers({ live, name }: { live: Live; name?: string }) {
  const answer = useApi<Handler[]>("handlers", live.definitions);
  const assets = useAssets(live.token);
  const byHandler = useMemo(() => {
    const lists = new Map<string, NonNullable<typeof assets.data>>();
    for (const asset of assets.data ?? []) lists.set(asset.handler, [...(lists.get(asset.handler) ?? []), asset]);
    return lists;
  }, [assets.data]);
  return <>{name !== undefined && <p class="crumbs"><Link to="/handlers">Handlers</Link> /</p>}<h1>{name ?? "Handlers"}</h1><Loaded answer={answer}>{(all) => {
    const list = all.filter((handler) => name === undefined || handler.name === name);
    if (!list.length) return <p class="empty card">{name === undefined ? "This project has no handlers." : `Handler ${name} not found.`}</p>;
    return <>{[...list].sort((a, b) => b.assets.length - a.assets.length).map((handler) => {
      const counts = countStates(byHandler.get(handler.name) ?? []);
      return (
        <section key={handler.name} class={`card handler ${handler.assets.length ? "" : "unused"}`}>
          <h2>{name === undefined && <Link to={handlerPath(handler.name)}>{handler.name}</Link>} <span class="note"><code>{handler.class}</code></span></h2>
          {handler.problem && <p class="problem">{handler.problem}</p>}
          <p class="note">{handler.summary}{handler.distribution && ` ${handler.distribution}.`} {handler.capabilities.map((text) => <span key={text} class="chip">{text}</span>)}
            {handler.runs_code && <span class="chip warn">loading runs stored code</span>}</p>
          {handler.assets.length > 0 && <div class="shares-line"><Link to={`/assets?select=${encodeURIComponent(`handler:${handler.name}`)}`}>{count(handler.assets.length, "asset")}</Link>
            <StackedBar parts={STATES.map((state) => [state, counts.get(state) ?? 0])} label={STATES.filter((state) => counts.get(state)).map((state) => `${counts.get(state)} ${state}`).join(", ")} /></div>}
          {handler.fields.length > 0 && <details open={handler.assets.length > 0 && list.filter((item) => item.assets.length).length < 6}><summary>{count(handler.fields.length, "setting")}</summary><Settings fields={handler.fields} /></details>}
        </section>
      );
    })}
    {name !== undefined && list[0] && list[0].assets.length > 0 && <section class="card"><h2>Assets</h2><div>{list[0].assets.slice(0, MAX_NAMES).map((asset) => <Link key={asset} to={assetPath(asset)} class="chip">{asset}</Link>)}
      {list[0].assets.length > MAX_NAMES && <span class="note">and {list[0].assets.length - MAX_NAMES} more</span>}</div></section>}
    <Check definitions={live.definitions} stores />
  </>; }}</Loaded></>;
}

const MAX_NAMES = 200;

function Settings({ fields }: { fields: Field[] }) {
  return <div class="x-scroll"><table class="tight settings"><thead><tr><th>Setting</th><th>Value</th><th>Origin</th></tr></thead>
    <tbody>{fields.map((field) => <tr key={field.field} class={field.origin === "default" ? "quiet-row" : ""}><td><code>{field.field}</code></td><td class="text">{field.value}</td><td><span class="chip">{field.origin}</span></td></tr>)}</tbody></table></div>;
}

/** Whether two entry points of a distribution differ in nothing that is shown. */
const sameRow = (a: Plugin, b: Plugin) => ["distribution", "provides", "state", "error", "causes", "remarks"].every((key) => String(a[key as keyof Plugin]) === String(b[key as keyof Plugin]));

export function Plugins({ live }: { live: Live }) {
  const answer = useApi<Plugin[]>("plugins", live.definitions);
  return <><h1>Plugins</h1><section class="card flush x-scroll"><Loaded answer={answer}>{(list) => (
    <table><thead><tr><th>Distribution</th><th>Provides</th><th>State</th><th class="wide">Version</th></tr></thead><tbody>{list.filter((plugin, index) => index === list.findIndex((other) => sameRow(plugin, other))).map((plugin) => (
      <tr key={`${plugin.distribution} ${plugin.entry_point}`}><td class="name">{plugin.distribution}</td>
        <td>{plugin.provides.length ? plugin.provides.map((name) => <span key={name} class="chip">{name}</span>) : plugin.state === "not installed" ? <Copy text={plugin.entry_point} /> : <span class="note">{plugin.entry_point}</span>}
          {plugin.error && <pre class="bad">{plugin.error}</pre>}
          {plugin.causes.length > 0 && <ol class="causes" aria-label="Exceptions">{plugin.causes.map((text) => <li key={text}><code>{text}</code></li>)}</ol>}{plugin.remarks.map((text) => <p key={text} class="note">{text}</p>)}</td><td>{plugin.state}</td><td class="wide note">{plugin.version}</td></tr>
    ))}</tbody></table>
  )}</Loaded></section></>;
}

const LEVELS = ["error", "warning", "info"];

function levelOf(line: LogLine): string {
  if (line.level) return ["error", "critical"].includes(line.level) ? "error" : line.level === "warning" ? "warning" : "info";
  if (["StepFailure", "RunFailure"].includes(line.event)) return "error";
  return ["StepRetry", "RunInterrupted", "RunCanceled", "StepSkipped"].includes(line.event) ? "warning" : "info";
}

const LINES = 250;

/** Lines of a log, of which the newest are shown first, so that the document stays small. */
function LogLines({ lines, label, isReversed = false }: { lines: LogLine[]; label: string; isReversed?: boolean }) {
  const [skipped, setSkipped] = useState(0);
  const end = Math.max(lines.length - skipped, 0), start = Math.max(end - LINES, 0);
  const shown = lines.slice(start, end);
  return <>{lines.length > LINES && <p class="note buttons">{`Lines ${formatNumber(start + 1)} to ${formatNumber(end)} of ${formatNumber(lines.length)}`}
    <button type="button" disabled={!start} onClick={() => setSkipped(skipped + LINES)}>Earlier</button><button type="button" disabled={!skipped} onClick={() => setSkipped(Math.max(skipped - LINES, 0))}>Later</button></p>}
  <ol class="log card flush" tabIndex={0} aria-label={label}>{(isReversed ? shown.reverse() : shown).map((line, index) => (
    <li key={index} class={levelOf(line)}><time title={new Date(line.at * 1000).toISOString()}>{new Date(line.at * 1000).toLocaleTimeString()}</time>
      {isReversed && <Link to={`/runs/${line.run_id}`} class="note">{line.run_id.slice(0, 8)}</Link>}<b>{line.event}</b>
      {(line.asset || line.partition || line.message) && <span class="grow">{line.asset && <Link to={assetPath(line.asset)}>{line.asset}</Link>}{line.asset && " "}{line.partition && <span class="chip">{line.partition.slice(0, 60)}</span>} {line.message}</span>}</li>))}</ol></>;
}

/** What the steps of one run logged, and their events, oldest first; of one step if the address names it. */
export function RunLog({ run, live }: { run: RunDetail; live: Live }) {
  const [query, setQuery] = useQuery();
  const step = query.get("step") ?? "";
  const answer = useApi<{ lines: LogLine[]; truncated: boolean }>(`logs?run=${encodeURIComponent(run.run_id)}&step=${encodeURIComponent(step)}`, live.token);
  return <>
    <div class="toolbar"><select aria-label="Step" value={step} onChange={(event) => setQuery({ step: event.currentTarget.value })}>
      <option value="">every step</option>{run.progress.map((item) => <option key={item.step} value={item.step}>{item.step}</option>)}</select>
      {answer.data?.truncated && <span class="note">Only the newest {answer.data.lines.length} lines are shown.</span>}</div>
    <Loaded answer={answer}>{({ lines }) => lines.length ? <LogLines key={step} lines={lines} label="Log of the run" /> : <p class="empty card">This step has logged nothing.</p>}</Loaded>
  </>;
}

export function Logs({ live }: { live: Live }) {
  const [query, setQuery] = useQuery();
  const run = query.get("run") ?? "", asset = query.get("asset") ?? "", level = query.get("level") ?? "";
  const answer = useApi<{ lines: LogLine[]; truncated: boolean }>(`logs?run=${encodeURIComponent(run)}&asset=${encodeURIComponent(asset)}`, live.token);
  const shown = (answer.data?.lines ?? []).filter((line) => !level || LEVELS.indexOf(levelOf(line)) <= LEVELS.indexOf(level));
  const text = () => shown.map((line) => `${new Date(line.at * 1000).toISOString()} ${line.event} ${line.asset ?? ""} ${line.partition ?? ""} ${line.message ?? ""}`.trimEnd()).join("\n");
  return <>
    <div class="head"><h1>Log</h1><span class="note">{answer.data && count(shown.length, "line")}{answer.data?.truncated && ", the newest"}</span>
      <button type="button" class="end" onClick={() => download("rivers-log.txt", text())}>Download</button></div>
    <div class="toolbar">
      <input aria-label="Run" placeholder="Run id" value={run} onChange={(event) => setQuery({ run: event.currentTarget.value.trim() })} />
      <input aria-label="Asset" placeholder="Asset" value={asset} onChange={(event) => setQuery({ asset: event.currentTarget.value.trim() })} />
      <select aria-label="Level" value={level} onChange={(event) => setQuery({ level: event.currentTarget.value })}>
        <option value="">every level</option><option value="error">errors</option><option value="warning">errors and warnings</option></select></div>
    <Loaded answer={answer}>{() => shown.length ? <LogLines key={`${run} ${asset} ${level}`} lines={shown} label="Log, newest first" isReversed />
      : <p class="empty card">No events{run || asset ? " match" : " yet"}.</p>}</Loaded>
  </>;
}

function download(name: string, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** The settings of each environment of the file; the first is that of this page. */
export function Configuration({ live }: { live: Live }) {
  const [query, setQuery] = useQuery();
  const environment = query.get("environment") ?? "";
  const answer = useApi<Config | Record<string, never>>(`config?environment=${encodeURIComponent(environment)}`, live.definitions);
  const project = useApi<Project>("project", "");
  const own = project.data?.environment ?? "";
  return <><h1>Configuration</h1><Loaded answer={answer}>{(data) => {
    const config = "path" in data ? data as Config : null;
    if (!config) return <p class="empty card">This project has no rivers.toml.</p>;
    const rules = Object.entries(config.assets ?? {}), metadata = Object.entries(config.asset_metadata ?? {});
    return <>
      {config.environments.length > 0 && <div class="chips" role="group" aria-label="Environment">{[own, ...config.environments.filter((name) => name !== own)].map((name) => (
        <button key={name} type="button" class="chip-button" aria-pressed={name === (config.environment ?? "")} onClick={() => setQuery({ environment: name === own ? "" : name })}>{name || "no environment"}{name === own && <b>this page</b>}</button>))}</div>}
      {config.findings.map((text) => <pre key={text} class="finding bad">{text}</pre>)}
      <section class="card"><dl class="pairs">
        <dt>File</dt><dd><Copy text={config.path} /></dd><dt>Environment</dt><dd>{config.environment ?? <span class="note">none</span>}</dd>
        {config.io_handlers && <><dt>Repository</dt><dd><code>{config.repository}</code></dd>
          <dt>Event log</dt><dd>{config.event_log && <Copy text={config.event_log} />}</dd>
          <dt>Default handler</dt><dd>{config.default_io_handler ? <span class="chip">{config.default_io_handler}</span> : <span class="note">none</span>}</dd>
          <dt>Default executor</dt><dd>{config.default_executor ?? "in_process"}</dd><dt>Durable writes</dt><dd>{config.durable ? "yes" : "no"}</dd></>}</dl></section>
      {rules.length > 0 && <section class="card"><h2>Handlers by pattern</h2><table class="tight"><thead><tr><th>Assets</th><th>Handler</th></tr></thead><tbody>{rules.map(([pattern, handler]) => (
        <tr key={pattern}><td><code>{pattern}</code></td><td><span class="chip">{handler}</span></td></tr>))}</tbody></table></section>}
      {metadata.length > 0 && <section class="card"><h2>Metadata by pattern</h2><table class="tight"><thead><tr><th>Assets</th><th>Key</th><th>Value</th></tr></thead><tbody>{metadata.flatMap(([pattern, values]) => Object.entries(values).map(([key, value]) => (
        <tr key={`${pattern} ${key}`}><td><code>{pattern}</code></td><td><code>{key}</code></td><td class="text">{typeof value === "string" ? value : JSON.stringify(value)}</td></tr>)))}</tbody></table></section>}
      {Object.entries(config.io_handlers ?? {}).map(([name, fields]) => <section key={name} class="card"><h2>{name}</h2><Settings fields={fields} /></section>)}
    </>;
  }}</Loaded></>;
}
