// Requests to the server. The token arrives in the fragment of the address and never appears in a request line.
import { useEffect, useRef, useState } from "preact/hooks";
import type { State } from "./format";
import type { Tree } from "./markup";
import type { Attempt, Range } from "./ranges";

export interface Asset {
  name: string; group: string | null; kinds: string[]; handler: string; state: State; detail: string;
  partitions: number | null; counts: [fresh: number, stale: number, missing: number];
  at: number | null; run_id: string | null; size: number | null; rows: number | null; duration: number | null;
}
export interface AssetDetail extends Asset {
  handler_reason: string; address: string | null; data_version: string | null; code_version: string | null;
  upstream: string[]; downstream: string[]; description: Tree | null; tags: string[]; options: [string, string][];
  type: string | null; partitions_def: string | null; runs_code: boolean;
  source: { file: string; line: number; tree: Tree } | null;
}
export interface Value {
  type: string; value?: unknown; tree?: Tree; text?: string; note?: string | null; data?: string; values?: Value[];
  columns?: { name: string; type: string }[]; start?: string; end?: string;
}
export interface Event {
  id: number; event: string; at: string; run_id: string; asset: string | null; partition: string | null;
  step: string | null; attempt: number; handler: string | null; data_version: string | null; code_version: string | null;
  inputs: Record<string, string>; duration_s: number | null; size: number | null; message: string | null;
  metadata: [string, Value][];
}
export interface Run {
  run_id: string; status: string; started: string; ended: string | null; job: string | null;
  selection: string[] | null; partition: string | null; steps: string[]; tags: Record<string, string>; message: string | null;
}
/** State, begin and end in milliseconds, partition, attempt. */
export type Bar = [state: string, begin: number, end: number | null, partition: string | null, attempt: number];
export interface Step { step: string; state: string; keys: number; failed: number; bars: Bar[]; message: string | null }
export interface RunDetail extends Run { progress: Step[]; events: Event[]; truncated: boolean }
export interface LineageNode {
  name: string; handler: string; handler_reason: string; group: string | null; external: boolean; partitioned: boolean;
}
/** The first lane of an edge has its position, each later one its distance from the one before. */
export interface Lineage {
  assets: LineageNode[]; edges: { from: string; to: string; loaded: boolean }[];
  boxes: [x: number, y: number, width: number][]; box_height: number;
  lanes: [x: number, y: number][][]; width: number; height: number; total: number;
}
export interface Field { field: string; value: string; origin: string }
export interface Handler {
  name: string; class: string | null; assets: string[]; problem: string | null; fields: Field[];
  summary: string | null; distribution: string | null; capabilities: string[]; runs_code: boolean;
}
export interface Plugin {
  distribution: string; version: string; entry_point: string; state: string; provides: string[]; error: string | null;
  causes: string[]; remarks: string[];
}
/** Configuration of one environment; only the first line if it cannot be resolved. */
export interface Config {
  path: string; environment: string | null; environments: string[]; findings: string[];
  repository?: string | null; default_io_handler?: string | null; default_executor?: string | null; durable?: boolean;
  event_log?: string; assets?: Record<string, string>; asset_metadata?: Record<string, Record<string, unknown>>;
  io_handlers?: Record<string, Field[]>;
}
export interface Report {
  ok: boolean; facts: Record<string, string>; findings: string[]; warnings: string[];
  stores: { name: string; class: string; state: string; assets: string[]; address: string | null;
    seconds: Record<string, number>; remark: string | null }[];
}
export interface Partitions {
  kind: "hour" | "day" | "week" | "month" | "matrix" | "grid" | null; keys: string[];
  ranges: Range[]; attempts: Attempt[]; at: (number | null)[]; sizes: (number | null)[];
  runs: (number | null)[]; run_ids: string[];
  dimensions: { name: string; keys: string[] }[] | null; starts: string[] | null;
}
export interface Series {
  points: { id: number; at: number; run_id: string; partition: string | null }[];
  series: { name: string; kind: string; values: (number | null)[] }[];
}
export interface Comparison {
  a: Event; b: Event; facts: [string, string | null, string | null][]; inputs: [string, string | null, string | null][];
  columns: [string, string | null, string | null][]; metadata: [string, Value | null, Value | null, boolean][];
}
export interface Preview {
  type: string; extent: string | null; handler: string; text: string | null; columns: string[] | null;
  rows: unknown[][] | null; hidden?: number;
}
export interface LogLine {
  at: number; event: string; level: string | null; run_id: string; asset: string | null; partition: string | null; attempt: number; message: string | null;
}
export interface Project { name: string; environment: string | null; event_log: string; preview: boolean; actions: boolean }
/** A command that the page started; its exit code is null while it runs. */
export interface Action { id: number; command: string; code: number | null; output: string }
interface Changes { token: string; running: Run[] | null; steps: string[]; problem: string | null }

export class ApiError extends Error {
  constructor(readonly status: number, message: string, readonly detail: string | null) { super(message); }
}

const KEY = "rivers-token";

function readToken(): string {
  const match = /[#&]token=([\w-]+)/.exec(location.hash);
  if (match?.[1]) {
    localStorage.setItem(KEY, match[1]);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return localStorage.getItem(KEY) ?? "";
}

let token = readToken();

/** Take over the token that another tab of this origin has received since, from a server that was started again. */
function adoptToken(): boolean {
  const stored = localStorage.getItem(KEY) ?? "";
  if (stored === token) return false;
  token = stored;
  return true;
}

export const get = <T>(path: string): Promise<T> => request<T>(path, {}).then(({ data }) => data);

/** Start an action; the server has none without --actions. */
export const post = <T>(path: string, body: Record<string, string>): Promise<T> =>
  request<T>(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }).then(({ data }) => data);

/** An answer, and the version of what it describes; null for an answer that the server does not cache. */
interface Versioned<T> { data: T; version: string | null }

async function request<T>(path: string, options: RequestInit): Promise<Versioned<T>> {
  const answer = await send(path, options);
  const response = answer.status === 401 && adoptToken() ? await send(path, options) : answer;
  const body: unknown = await response.json();
  if (response.ok) return { data: body as T, version: response.headers.get("ETag")?.replaceAll('"', "") ?? null };
  const problem = body as { message?: string; detail?: string | null };
  throw new ApiError(response.status, problem.message ?? response.statusText, problem.detail ?? null);
}

function send(path: string, options: RequestInit): Promise<Response> {
  const headers = { ...options.headers, Authorization: `Bearer ${token}` };
  return fetch(`/api/v1/${path}`, { ...options, headers }).catch(() => {
    throw new ApiError(0, "The server does not answer. If it was stopped, start `rivers ui` again and open the address that it prints.", null);
  });
}

/** Request a path; one that takes long, such as the states of thousands of assets during a run, rests in between. */
async function requestRested(path: string): Promise<Versioned<unknown>> {
  const rest = (rests.get(path) ?? 0) - performance.now();
  if (rest > 0) await new Promise((done) => window.setTimeout(done, rest));
  const start = performance.now(), answer = await request<unknown>(path, {}), end = performance.now();
  if (end - start > SLOW) rests.set(path, end + 2 * (end - start)); else rests.delete(path);
  return answer;
}

export interface Answer<T> { data: T | null; error: ApiError | null }

const RECONNECTED = "rivers-reconnected";
const answers = new Map<string, Versioned<unknown>>();
const pending = new Map<string, Promise<Versioned<unknown>>>();
const wanted = new Map<string, string>();
const rests = new Map<string, number>();
const MAX_ANSWERS = 40;
const SLOW = 300;

/** Load a path, unless an answer of this version is here or on its way. */
async function load(path: string, version: string): Promise<unknown> {
  const known = answers.get(path);
  if (known?.version && known.version === version) return known.data;
  wanted.set(path, version);
  for (let other = pending.get(path); other; other = pending.get(path)) {
    const answer = await other.catch(() => undefined);
    if (answer && (wanted.get(path) !== version || answer.version && (answer.version === version || !version))) return answer.data;
  }
  const running = requestRested(path);
  pending.set(path, running);
  try {
    const answer = await running;
    answers.delete(path);
    answers.set(path, answer);
    if (answers.size > MAX_ANSWERS) answers.delete(answers.keys().next().value as string);
    return answer.data;
  } finally {
    if (pending.get(path) === running) pending.delete(path);
  }
}

/** Load a path, and again after every change of `version`; show the last answer meanwhile, also after leaving a page. */
export function useApi<T>(path: string | null, version: string): Answer<T> {
  const [answer, setAnswer] = useState<Answer<T> & { path: string | null }>({ data: null, error: null, path: null });
  const [attempt, setAttempt] = useState(0);
  const isUnanswered = answer.error?.status === 0 || answer.error?.status === 401;
  useEffect(() => {
    if (!isUnanswered) return;
    const retry = () => setAttempt((number) => number + 1);
    window.addEventListener(RECONNECTED, retry);
    return () => window.removeEventListener(RECONNECTED, retry);
  }, [isUnanswered]);
  useEffect(() => {
    if (path === null) return;
    let isCurrent = true;
    load(path, version).then(
      (data) => { if (isCurrent) setAnswer({ data: data as T, error: null, path }); },
      (error: unknown) => {
        const problem = error instanceof ApiError ? error : new ApiError(0, String(error), null);
        if (isCurrent) setAnswer({ data: null, error: problem, path });
      },
    );
    return () => { isCurrent = false; };
  }, [path, version, attempt]);
  if (answer.path === path) return answer;
  return { data: path === null ? null : (answers.get(path)?.data as T | undefined) ?? null, error: null };
}

interface Columns { count: number; columns: Record<string, unknown[]> }
const lists = new WeakMap<object, Asset[]>();

/** All assets; the answer has one list per fact. */
export function useAssets(version: string): Answer<Asset[]> {
  const { data, error } = useApi<Columns>("assets", version);
  if (data === null) return { data, error };
  let list = lists.get(data);
  if (!list) {
    const names = Object.keys(data.columns);
    list = Array.from({ length: data.count }, (_, row) =>
      Object.fromEntries(names.map((name) => [name, data.columns[name]?.[row]])) as unknown as Asset);
    lists.set(data, list);
  }
  return { data: list, error };
}

/** `token` changes with every event, `definitions` with the files of the project; `problem` is why it cannot be loaded. A page
 *  is locked if its token is not that of the server, such as one that was started again. */
export interface Live { token: string; definitions: string; running: Run[]; steps: string[]; problem: string | null; state: "live" | "paused" | "disconnected" | "locked" }

/** Poll for changes of the event log: often while a run is active, not at all while the tab is hidden. */
export function useLive(): Live {
  const [live, setLive] = useState<Live>({ token: "", definitions: "", running: [], steps: [], problem: null, state: "live" });
  const last = useRef(live);
  useEffect(() => {
    let timer = 0, shown = 0;
    const update = (next: Live) => { last.current = next; shown = performance.now(); setLive(next); };
    const poll = async () => {
      if (document.hidden) return update({ ...last.current, state: "paused" });
      const wasCutOff = ["disconnected", "locked"].includes(last.current.state);
      try {
        const changes = await request<Changes>(`changes?after=${encodeURIComponent(last.current.token)}`, { signal: AbortSignal.timeout(HUNG) }).then(({ data }) => data);
        const { token, problem } = changes;
        if (changes.running !== null) update({ token, definitions: token.split("-")[0] ?? "", running: changes.running, steps: changes.steps, problem, state: "live" });
        else if (last.current.state !== "live" || last.current.problem !== problem) update({ ...last.current, problem, state: "live" });
        else if (performance.now() - shown > (last.current.running.length ? 1_000 : 30_000)) update({ ...last.current });  // ages and durations
        if (wasCutOff) window.dispatchEvent(new Event(RECONNECTED));
      } catch (error) {
        const status = error instanceof ApiError ? error.status : 0;  // anything but these is shown by the page that needs it
        update({ ...last.current, state: status === 0 ? "disconnected" : status === 401 ? "locked" : "live" });
      }
      timer = window.setTimeout(() => void poll(), last.current.running.length ? 500 : IDLE);
    };
    const wake = () => { window.clearTimeout(timer); void poll(); };
    document.addEventListener("visibilitychange", wake);
    wake();
    return () => { window.clearTimeout(timer); document.removeEventListener("visibilitychange", wake); };
  }, []);
  return live;
}

/** Milliseconds after which a question counts as unanswered, such as one that a computer was sent to sleep with. */
const HUNG = 15_000;
/** Milliseconds between two requests without a running run; an event of another process is on screen within a second. */
const IDLE = 800;
