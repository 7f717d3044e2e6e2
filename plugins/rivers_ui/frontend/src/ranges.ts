// Ranges of partition keys with equal state.
import type { State } from "./format";

export interface Range { state: State; reason: string | null; count: number }
export type Attempt = [index: number, state: State, message: string | null];

/** Number of the range that contains each key. */
export function decode(ranges: Range[]): Uint32Array {
  const total = ranges.reduce((sum, { count }) => sum + count, 0);
  const indexes = new Uint32Array(total);
  let start = 0;
  ranges.forEach(({ count }, index) => { indexes.fill(index, start, start + count); start += count; });
  return indexes;
}

/** Ranges in which the keys of the last attempts, sorted by index, have the state of the attempt. */
export function withAttempts(ranges: Range[], attempts: Attempt[]): Range[] {
  const result: Range[] = [];
  const add = (state: State, reason: string | null, count: number) => {
    const last = result.at(-1);
    if (last?.state === state && last.reason === reason) last.count += count;
    else if (count) result.push({ state, reason, count });
  };
  let start = 0, next = 0;
  for (const { state, reason, count } of ranges) {
    const end = start + count;
    for (let attempt = attempts[next]; attempt && attempt[0] < end; attempt = attempts[next += 1]) {
      add(state, reason, attempt[0] - start);
      add(attempt[1], attempt[2], 1);
      start = attempt[0] + 1;
    }
    add(state, reason, end - start);
    start = end;
  }
  return result;
}

export interface Place { column: number; row: number }

/** Places of days in a calendar: a column per week, which starts on Monday, a row per weekday; a block per year. */
export function calendar(days: string[]): { places: Place[]; years: { year: number; row: number }[] } {
  const years: { year: number; row: number }[] = [];
  let row = 0, first = 0;
  const places = days.map((day) => {
    const date = new Date(`${day.slice(0, 10)}T00:00:00Z`), year = date.getUTCFullYear();
    if (years.at(-1)?.year !== year) {
      row = years.length ? row + 8 : 0;
      years.push({ year, row });
      first = (new Date(Date.UTC(year, 0, 1)).getUTCDay() + 6) % 7;
    }
    const dayOfYear = Math.round((date.getTime() - Date.UTC(year, 0, 1)) / 86_400_000);
    return { column: Math.floor((dayOfYear + first) / 7), row: row + ((dayOfYear + first) % 7) };
  });
  return { places, years };
}
