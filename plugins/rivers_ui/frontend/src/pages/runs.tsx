import { ActionButton } from "../actions";
import { useApi, type Bar, type Live, type Run, type RunDetail, type Step } from "../api";
import { count, formatDuration } from "../format";
import { assetPath, Badge, Copy, describeRun, Link, Loaded, runSeconds, runState, StackedBar, SYMBOLS, Tabs, Time, useQuery } from "../parts";
import { Events } from "./asset";
import { RunLog } from "./others";

const STATUSES = ["running", "success", "failure", "canceled", "interrupted"];

export function Runs({ live }: { live: Live }) {
  const [query, setQuery] = useQuery();
  const status = query.get("status") ?? "";
  const answer = useApi<{ runs: Run[]; truncated: boolean }>(`runs?limit=200&status=${status}`, live.token);
  return <>
    <div class="head"><h1>Runs</h1></div>
    <div class="chips" role="group" aria-label="Status">{STATUSES.map((name) => (
      <button key={name} type="button" class={`chip-button ${name}`} aria-pressed={status === name} onClick={() => setQuery({ status: status === name ? "" : name })}>
        <i aria-hidden="true">{SYMBOLS[name]}</i>{name}</button>))}</div>
    <Loaded answer={answer}>{({ runs, truncated }) => {
      if (!runs.length) return <p class="empty card">{status ? "No runs with this status." : <>No runs yet. Start one with <code>rivers materialize</code>.</>}</p>;
      const longest = Math.max(...runs.map(runSeconds), 0.001);
      return <section class="card flush x-scroll"><table class="runs"><thead><tr><th>Status</th><th>Run</th><th>Started</th><th class="number wide">Steps</th><th class="wide">Duration</th></tr></thead>
        <tbody>{runs.map((run) => <tr key={run.run_id}><td><Badge state={runState(run.status)} /></td>
          <td class="main"><Link to={`/runs/${run.run_id}`} class="name">{describeRun(run)}</Link> <code class="note">{run.run_id.slice(0, 8)}</code>
            {run.message && <div class="note message">{run.message.split("\n")[0]}</div>}</td>
          <td><Time at={run.started} /></td><td class="number wide">{run.steps.length}</td>
          <td class="wide"><span class="duration"><StackedBar parts={[[runState(run.status), runSeconds(run)], ["rest", longest - runSeconds(run)]]} label="" />{formatDuration(runSeconds(run))}</span></td></tr>)}</tbody></table>
        {truncated && <p class="note pad">Only the newest {runs.length} runs are shown.</p>}</section>;
    }}</Loaded>
  </>;
}

const ORDER = ["done", "failed", "interrupted", "running", "retrying", "skipped", "planned"];

export function RunPage({ id, live }: { id: string; live: Live }) {
  const answer = useApi<RunDetail>(`runs/${encodeURIComponent(id)}`, live.token);
  return (
    <>
      <p class="crumbs"><Link to="/runs">Runs</Link> /</p>
      <h1>{answer.data ? describeRun(answer.data) : id.slice(0, 8)}</h1>
      <Loaded answer={answer}>{(run) => {
        const counts = new Map<string, number>();
        for (const step of run.progress) counts.set(step.state, (counts.get(step.state) ?? 0) + 1);
        const status = runState(run.status);
        const failures = run.progress.filter((step) => step.state === "failed");
        return (
          <>
            <p class="headline"><Badge state={status} /><code>{run.run_id.slice(0, 8)}</code><span class="note">started <Time at={run.started} />, {run.ended ? "took" : "for"} {formatDuration(runSeconds(run))}</span>
              {Object.entries(run.tags).map(([key, value]) => <span key={key} class="chip">{key}: {value}</span>)}</p>
            <section class="card" aria-label="Progress">
              <StackedBar parts={ORDER.map((state) => [state, counts.get(state) ?? 0])} label={ORDER.filter((state) => counts.get(state)).map((state) => `${counts.get(state)} ${state}`).join(", ")} />
              <p class="progress-text"><b>{(counts.get("done") ?? 0) + (counts.get("failed") ?? 0) + (counts.get("skipped") ?? 0)}</b> of {count(run.progress.length, "step")}
                {ORDER.filter((state) => counts.get(state)).map((state) => <span key={state} class={`state-text ${state}`}><i aria-hidden="true">{SYMBOLS[state]}</i> {counts.get(state)} {state}</span>)}</p>
              {run.message && !failures.length && <pre class="bad">{run.message}</pre>}
              {failures.slice(0, 5).map((step) => <div key={step.step}><Link to={assetPath(step.step)} class="name">{step.step}</Link><pre class="bad">{step.message}</pre></div>)}
              {failures.length > 5 && <p class="note">{failures.length - 5} more steps failed; see the timeline.</p>}
              {status === "interrupted" && <p class="note">Its process ended without reporting an end, for example because it was killed. What it had stored is kept.</p>}
              {status === "running" && <ActionButton label="Cancel the run" question="Cancel this run? It starts no further step; a function that is running finishes." command={`rivers runs cancel ${run.run_id}`} path={`runs/${encodeURIComponent(run.run_id)}/cancel`} />}
              {["failure", "interrupted", "canceled"].includes(status) && <p>Complete it: <Copy text={`rivers materialize --resume ${run.run_id}`} /></p>}
            </section>
            <Tabs tabs={[
              ["timeline", "Timeline", () => <Gantt run={run} />],
              ["log", "Log", () => <RunLog run={run} live={live} />],
              ["events", "Events", () => <section class="card">{run.truncated && <p class="note">Only the newest {run.events.length} events are shown.</p>}<Events events={[...run.events].reverse()} withAsset /></section>],
            ]} />
          </>
        );
      }}</Loaded>
    </>
  );
}

const MAX_LANES = 200;
/** With more bars, those of a step are one shape for each state, so that the document stays small. */
const MAX_BARS = 400;

/** Bars of each step over the time of the run: every partition key and every attempt. */
function Gantt({ run }: { run: RunDetail }) {
  const start = Date.parse(run.started), now = run.ended ? Date.parse(run.ended) : Date.now();
  const begun = (step: Step) => step.bars[0]?.[1] ?? Infinity;
  const lanes = [...run.progress].sort((a, b) => begun(a) - begun(b));
  const end = Math.max(now, ...run.progress.flatMap((step) => step.bars.map((bar) => bar[2] ?? now)), start + 1);
  const total = end - start;
  const isDense = lanes.reduce((sum, step) => sum + step.bars.length, 0) > MAX_BARS;
  const box = ([, from, to]: Bar) => [((from - start) / total) * 1000, Math.max(2, (((to ?? now) - from) / total) * 1000)] as const;
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  return (
    <section class="card"><div class="gantt" role="list" aria-label="Timeline of the steps">
      <div class="lane axis" aria-hidden="true"><span /><div class="ticks">{ticks.map((tick) => <span key={tick}>{tick === 0 ? "0" : formatDuration((total * tick) / 1000)}</span>)}</div><span /></div>
      {lanes.slice(0, MAX_LANES).map((step) => {
        const seconds = step.bars.length ? (Math.max(...step.bars.map((bar) => bar[2] ?? now)) - Math.min(...step.bars.map((bar) => bar[1]))) / 1000 : 0;
        const text = `${step.step}: ${step.state}${step.bars.length ? `, ${formatDuration(seconds)}` : ""}${step.keys > 1 ? `, ${step.keys} partitions` : ""}`;
        return (
          <div key={step.step} class={`lane ${step.state}`} role="listitem">
            <span class="lane-name"><i class={step.state} aria-hidden="true">{SYMBOLS[step.state]}</i> <Link to={assetPath(step.step)}>{step.step}</Link><span class="sr">{step.state}</span></span>
            <svg viewBox="0 0 1000 16" preserveAspectRatio="none" role="img" aria-label={text}><title>{text}</title>
              {isDense ? [...new Set(step.bars.map(([state]) => state))].map((state) => (
                <path key={state} class={state} d={step.bars.filter((bar) => bar[0] === state).map(box).map(([x, width]) => `M${x.toFixed(1)} 3h${width.toFixed(1)}v10h${(-width).toFixed(1)}z`).join("")} />))
              : step.bars.map((bar, index) => {
                const [state, from, to, key, attempt] = bar, [x, width] = box(bar);
                return <rect key={index} class={state} x={x} width={width} y="3" height="10" rx="1.5">
                  <title>{`${step.step}${key ? ` [${key}]` : ""}: ${state}, ${formatDuration(((to ?? now) - from) / 1000)}${attempt > 1 ? `, attempt ${attempt}` : ""}`}</title></rect>;
              })}</svg>
            <span class="number">{step.state === "planned" ? <span class="note">planned</span> : <Link to={`/runs/${run.run_id}?tab=log&step=${encodeURIComponent(step.step)}`} class="note" label={`${step.bars.length > 0 ? formatDuration(seconds) : step.state}, log of ${step.step}`}>{step.bars.length > 0 ? formatDuration(seconds) : step.state}</Link>}</span>
          </div>
        );
      })}
      {lanes.length > MAX_LANES && <p class="note" role="listitem">{lanes.length - MAX_LANES} more steps</p>}
    </div></section>
  );
}
