// Parts that every page uses.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Answer, Run } from "./api";
import { formatAge, formatDuration, STATES, type State } from "./format";

export const SYMBOLS: Record<string, string> = {
  fresh: "✓", stale: "↻", partial: "◐", missing: "○", failed: "✕", external: "◇",
  running: "●", done: "✓", skipped: "–", planned: "○", retrying: "↻", interrupted: "!", success: "✓", failure: "✕", canceled: "–",
};

export function go(path: string, replace = false): void {
  if (replace) history.replaceState(null, "", path); else history.pushState(null, "", path);
  window.dispatchEvent(new PopStateEvent("popstate"));
}

export function Link({ to, children, class: style, current, label }: {
  to: string; children: ComponentChildren; class?: string; current?: boolean; label?: string;
}) {
  return (
    <a href={to} class={style} aria-current={current ? "page" : undefined} aria-label={label} onClick={(event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      go(to);
    }}>{children}</a>
  );
}

export const assetPath = (name: string) => `/assets/${encodeURIComponent(name)}`;

export const handlerPath = (name: string) => `/handlers/${encodeURIComponent(name)}`;

export function Badge({ state }: { state: string }) {
  return <span class={`badge ${state}`}><i aria-hidden="true">{SYMBOLS[state] ?? "·"}</i>{state}</span>;
}

export const runState = (status: string) => (status === "Started" ? "running" : status.toLowerCase());

export function Time({ at }: { at: number | string }) {
  const date = new Date(typeof at === "number" ? at * 1000 : at);
  return <time dateTime={date.toISOString()} title={`${date.toLocaleString()}\n${date.toISOString()}`}>{formatAge(date.getTime())}</time>;
}

export function Loaded<T>({ answer, children }: { answer: Answer<T>; children: (data: T) => ComponentChildren }) {
  const { data, error } = answer;
  if (error) {
    return (
      <div class="problem" role="alert">
        <strong>{error.status === 401 ? "This tab has no valid token" : "Could not load this"}</strong>
        <p>{error.message}</p>
        {error.detail && <pre>{error.detail}</pre>}
      </div>
    );
  }
  return data === null ? <div class="loading" role="status"><span class="sr">Loading</span><i /><i /><i /></div> : <>{children(data)}</>;
}

export function Copy({ text, label }: { text: string; label?: string }) {
  const [isCopied, setCopied] = useState(false);
  return (
    <button type="button" class="copy" title={`Copy ${text}`} onClick={() => {
      void navigator.clipboard.writeText(text).then(() => { setCopied(true); window.setTimeout(() => setCopied(false), 1500); });
    }}><code>{isCopied ? "Copied" : label ?? text}</code><Icon name="copy" /></button>
  );
}

const PATHS: Record<string, string> = {
  overview: "M3 3h6v7H3zM11 3h6v4h-6zM11 9h6v8h-6zM3 12h6v5H3z",
  assets: "M3 4h14v3H3zM3 9h14v3H3zM3 14h14v3H3z",
  lineage: "M3 8h4v4H3zM13 3h4v4h-4zM13 13h4v4h-4zM7 10h3M10 5v10M10 5h3M10 15h3",
  runs: "M6 3.5v13l10-6.5z",
  handlers: "M3 6c0-4 14-4 14 0v8c0 4-14 4-14 0zM3 6c0 4 14 4 14 0M3 10c0 4 14 4 14 0",
  plugins: "M7 3v4M13 3v4M5 7h10v4a5 5 0 0 1-10 0zM10 16v2",
  logs: "M4 5h12M4 9h8M4 13h12M4 17h6",
  config: "M3 6h8M15 6h2M3 14h2M9 14h8M13 4v4M7 12v4",
  copy: "M7 7h9v9H7zM4 13V4h9",
  search: "M9 3.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM13 13l4 4",
  back: "M12 4l-6 6 6 6",
  fit: "M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4",
};

export function Icon({ name }: { name: string }) {
  return <svg class="icon" viewBox="0 0 20 20" aria-hidden="true"><path d={PATHS[name] ?? ""} /></svg>;
}

/** A bar of parts with the given weights, as wide as its place. */
export function StackedBar({ parts, label }: { parts: [state: string, weight: number][]; label: string }) {
  const total = Math.max(1, parts.reduce((sum, [, weight]) => sum + weight, 0));
  let x = 0;
  return (
    <svg class="stack" viewBox="0 0 1000 8" preserveAspectRatio="none" role="img" aria-label={label} aria-hidden={!label}>
      {parts.map(([state, weight]) => {
        const width = (weight / total) * 1000, at = x;
        x += width;
        return weight > 0 && <rect key={state} class={state} x={at} width={Math.max(width, 4)} height="8" />;
      })}
    </svg>
  );
}

export function useQuery(): [URLSearchParams, (changes: Record<string, string>) => void] {
  return [new URLSearchParams(location.search), (changes) => {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(changes)) if (value) query.set(name, value); else query.delete(name);
    const text = query.toString();
    go(location.pathname + (text ? `?${text}` : ""), true);
  }];
}

export function describeRun(run: Run): string {
  const selection = run.selection ?? [];
  const text = run.job ? `job ${run.job}` : run.selection ? selection.slice(0, 3).join(", ") : "all assets";
  const more = !run.job && selection.length > 3 ? ` and ${selection.length - 3} more` : "";
  return text + more + (run.partition ? ` [${run.partition.length > 40 ? `${run.partition.slice(0, 39)}…` : run.partition}]` : "");
}

export function runSeconds(run: Run): number {
  return ((run.ended ? Date.parse(run.ended) : Date.now()) - Date.parse(run.started)) / 1000;
}

export function RunLine({ run }: { run: Run }) {
  return (
    <li><Badge state={runState(run.status)} />
      <div class="grow"><Link to={`/runs/${run.run_id}`} class="name">{describeRun(run)}</Link>
        <span class="note">{run.run_id.slice(0, 8)} · <Time at={run.started} /></span></div>
      <span class="note number">{formatDuration(runSeconds(run))}</span></li>
  );
}

/** Tabs that keep their choice in the address; arrow keys move between them. */
export function Tabs({ tabs }: { tabs: [id: string, title: string, content: () => ComponentChildren][] }) {
  const [query, setQuery] = useQuery();
  const list = useRef<HTMLDivElement>(null);
  const selected = tabs.find(([id]) => id === query.get("tab")) ?? tabs[0];
  const move = (step: number) => {
    const index = tabs.findIndex(([id]) => id === selected?.[0]);
    const next = tabs[(index + step + tabs.length) % tabs.length];
    if (!next) return;
    setQuery({ tab: next[0] });
    list.current?.querySelector<HTMLElement>(`[data-tab=${next[0]}]`)?.focus();
  };
  return (
    <>
      <div class="tabs" role="tablist" ref={list} onKeyDown={(event) => {
        if (event.key === "ArrowRight") move(1); else if (event.key === "ArrowLeft") move(-1);
      }}>{tabs.map(([id, title]) => (
        <button key={id} type="button" role="tab" id={`tab-${id}`} data-tab={id} aria-selected={id === selected?.[0]} aria-controls="panel"
          tabIndex={id === selected?.[0] ? 0 : -1} onClick={() => setQuery({ tab: id })}>{title}</button>
      ))}</div>
      <div id="panel" role="tabpanel" aria-labelledby={`tab-${selected?.[0]}`} key={selected?.[0]}>{selected?.[2]()}</div>
    </>
  );
}

/** Width of an element, kept current. */
export function useWidth(): [{ current: HTMLDivElement | null }, number] {
  const element = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const target = element.current;
    if (!target) return;
    const observer = new ResizeObserver(() => setWidth(target.clientWidth));
    observer.observe(target);
    setWidth(target.clientWidth);
    return () => observer.disconnect();
  }, []);
  return [element, width];
}

export function StateLegend({ counts, selected, onSelect }: {
  counts: Map<string, number>; selected: string; onSelect: (state: string) => void;
}) {
  const states: State[] = ["running", ...STATES];
  return <div class="chips" role="group" aria-label="States">{states.filter((state) => counts.get(state) || selected === state).map((state) => (
    <button key={state} type="button" class={`chip-button ${state}`} aria-pressed={selected === state}
      onClick={() => onSelect(selected === state ? "" : state)}><i aria-hidden="true">{SYMBOLS[state]}</i>{state} <b>{(counts.get(state) ?? 0).toLocaleString("en-US")}</b></button>
  ))}</div>;
}

export function NoAssets() {
  return <p class="empty card">This project has no assets yet. Define one with <code>@rs.Asset</code> and list it in the <code>CodeRepository</code>; this page follows the file.</p>;
}
