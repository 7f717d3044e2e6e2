// Numbers, sizes and times as people read them.

export function formatSize(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes, unit = 0;
  while (Math.abs(value) >= 999.5 && unit < units.length - 1) { value /= 1000; unit += 1; }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export function formatDuration(seconds: number): string {
  if (seconds < 0.0005) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 0.9995) return `${seconds < 0.01 ? (seconds * 1000).toFixed(1) : Math.round(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const total = Math.round(seconds), minutes = Math.floor(total / 60);
  return minutes < 60 ? `${minutes} min ${total % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function formatAge(milliseconds: number, now = Date.now()): string {
  const seconds = Math.max(0, (now - milliseconds) / 1000);
  if (seconds < 10) return "now";
  if (seconds < 60) return `${Math.round(seconds)} s ago`;
  if (seconds < 3570) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 84_600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86_400)} d ago`;
}

export function formatNumber(value: number): string {
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  return value.toLocaleString("en-US", { maximumSignificantDigits: 6 });
}

/** A number of a metadata kind, with its unit. */
export function formatKind(kind: string, value: number): string {
  if (kind === "bytes") return formatSize(value);
  if (kind === "duration") return formatDuration(value);
  if (kind === "percentage") return `${formatNumber(value)} %`;
  if (kind === "timestamp") return new Date(value * 1000).toLocaleString();
  return formatNumber(value);
}

export const STATES: State[] = ["fresh", "stale", "partial", "missing", "failed", "external"];
export type State = "fresh" | "stale" | "partial" | "missing" | "failed" | "external" | "running";

export function count(number: number, noun: string): string {
  return `${number.toLocaleString("en-US")} ${noun}${number === 1 ? "" : "s"}`;
}

/** What a description of a state says beyond the state itself, which is shown as a badge. */
export function reasonOf(state: string, detail: string): string {
  if (detail === state) return "";
  return detail.startsWith(`${state}: `) || detail.startsWith(`${state}, `) ? detail.slice(state.length + 2) : detail;
}

/** Whether a filter is a selection, which the server understands, and not just a part of a name. */
export function isSelection(text: string): boolean {
  return /^\s*\d*\+|\+\d*\s*$|[*?\[]|(^|\s)(group|tag|kind|handler):|\s\S/.test(text.trim()) && text.trim() !== "";
}
