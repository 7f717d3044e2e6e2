// Numbers, sizes and times as people read them.

export function formatSize(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes, unit = 0;
  while (value >= 1000 && unit < units.length - 1) { value /= 1000; unit += 1; }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export function formatDuration(seconds: number): string {
  if (seconds < 1) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.round(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function formatAge(iso: string, now = Date.now()): string {
  const seconds = Math.max(0, (now - Date.parse(iso)) / 1000);
  if (seconds < 45) return "just now";
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  if (seconds < 86_400) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86_400)} d ago`;
}

export type State = "fresh" | "stale" | "missing" | "failed" | "external" | "partial";

/** The one word for an asset, from its sentence and the states of its values. */
export function stateOf(asset: { state: string; external: boolean; values: { state: string }[] }): State {
  if (asset.state.includes("attempt failed")) return "failed";
  if (asset.external) return "external";
  const states = new Set(asset.values.map((value) => value.state));
  if (states.has("stale")) return "stale";
  if (states.has("missing")) return states.has("fresh") ? "partial" : "missing";
  return states.has("fresh") ? "fresh" : "missing";
}
