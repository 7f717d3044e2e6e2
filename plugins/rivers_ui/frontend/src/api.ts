// Requests to the server. The token arrives in the fragment of the address and never appears in a request line.
import { useEffect, useRef, useState } from "preact/hooks";

export interface StoredValue { partition: string | null; state: string; reason: string | null }
export interface Last { event: string; at: string; run_id: string; data_version: string | null; size_bytes: number | null }
export interface Asset {
  asset: string; group: string | null; kinds: string[]; handler: string; handler_reason: string;
  external: boolean; last: Last | null; values: StoredValue[]; state: string;
}
export interface AssetDetail extends Asset { upstream: string[]; downstream: string[]; description: string | null }
export interface Event {
  id: number; event: string; at: string; run_id: string; asset: string | null; partition: string | null;
  step: string | null; attempt: number; handler: string | null; data_version: string | null;
  duration_s: number | null; message: string | null; metadata: [string, string, string][];
}
export interface Run {
  run_id: string; status: string; started: string; ended: string | null; job: string | null;
  selection: string[] | null; partition: string | null; steps: string[]; message: string | null;
}
export interface RunDetail extends Run { events: Event[]; truncated: boolean }
export interface LineageNode { name: string; handler: string; group: string | null; external: boolean; partitioned: boolean }
export interface Lineage {
  assets: LineageNode[]; edges: { from: string; to: string; loaded: boolean }[];
  boxes: Record<string, { x: number; y: number; width: number; height: number }>;
  paths: [number, number, number][][]; width: number; height: number;
}
export interface Handler {
  name: string; class: string | null; assets: string[]; problem: string | null;
  fields: { field: string; value: string; origin: string }[];
}
export interface Plugin {
  distribution: string; version: string; entry_point: string; state: string; provides: string[]; error: string | null;
}
export interface Project { name: string; environment: string | null; event_log: string }
interface Changes { token: string; running: Run[] | null }

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

const token = readToken();

export async function get<T>(path: string): Promise<T> {
  const response = await fetch(`/api/v1/${path}`, { headers: { Authorization: `Bearer ${token}` } });
  const body: unknown = await response.json();
  if (response.ok) return body as T;
  const problem = body as { message?: string; detail?: string | null };
  throw new ApiError(response.status, problem.message ?? response.statusText, problem.detail ?? null);
}

export interface Answer<T> { data: T | null; error: ApiError | null }

/** Load a path, and again after every change of `version`; keep the last answer meanwhile. */
export function useApi<T>(path: string, version: string): Answer<T> {
  const [answer, setAnswer] = useState<Answer<T> & { path: string }>({ data: null, error: null, path });
  useEffect(() => {
    let isCurrent = true;
    get<T>(path).then(
      (data) => isCurrent && setAnswer({ data, error: null, path }),
      (error: unknown) => {
        const problem = error instanceof ApiError ? error : new ApiError(0, String(error), null);
        if (isCurrent) setAnswer({ data: null, error: problem, path });
      },
    );
    return () => { isCurrent = false; };
  }, [path, version]);
  return answer.path === path ? answer : { data: null, error: null };
}

export interface Live { token: string; running: Run[]; state: "live" | "paused" | "disconnected"; }

/** Poll for changes of the event log: often while a run is active, not at all while the tab is hidden. */
export function useLive(): Live {
  const [live, setLive] = useState<Live>({ token: "", running: [], state: "live" });
  const last = useRef(live);
  useEffect(() => {
    let timer = 0;
    const update = (next: Live) => { last.current = next; setLive(next); };
    const poll = async () => {
      if (document.hidden) return update({ ...last.current, state: "paused" });
      try {
        const changes = await get<Changes>(`changes?after=${encodeURIComponent(last.current.token)}`);
        if (changes.running !== null) update({ token: changes.token, running: changes.running, state: "live" });
        else if (last.current.state !== "live") update({ ...last.current, state: "live" });
      } catch {
        update({ ...last.current, state: "disconnected" });
      }
      timer = window.setTimeout(() => void poll(), last.current.running.length ? 500 : 2000);
    };
    const wake = () => { window.clearTimeout(timer); void poll(); };
    document.addEventListener("visibilitychange", wake);
    wake();
    return () => { window.clearTimeout(timer); document.removeEventListener("visibilitychange", wake); };
  }, []);
  return live;
}
