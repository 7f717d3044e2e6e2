// Ranges of partition keys with equal state.

export type Range<S> = [state: S, reason: string | null, count: number];

/** Number of the range that contains each key. */
export function decode<S>(ranges: Range<S>[]): Uint32Array {
  const total = ranges.reduce((sum, [, , count]) => sum + count, 0);
  const indexes = new Uint32Array(total);
  let start = 0;
  ranges.forEach(([, , count], index) => { indexes.fill(index, start, start + count); start += count; });
  return indexes;
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
