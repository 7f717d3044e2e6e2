// Unit tests of what the page computes: geometry, ranges, calendars, formats, selections, links.
import assert from "node:assert/strict";
import test from "node:test";
import { formatAge, formatDuration, formatKind, formatSize, isSelection } from "../src/format";
import { isWebAddress } from "../src/markup";
import { calendar, decode, withAttempts, type Range } from "../src/ranges";
import { linePath, niceTicks } from "../src/scale";
import { MAX_SCALE, begin, center, fit, isVisible, positions, zoomAt } from "../src/viewport";

const screen = { width: 800, height: 600 };

test("fit shows the whole graph in the middle and never enlarges it", () => {
  const view = fit({ width: 4000, height: 100 }, screen);
  assert.ok(isVisible(view, screen, 0, 0, 1, 1) && isVisible(view, screen, 3999, 99, 1, 1));
  assert.equal(fit({ width: 10, height: 10 }, screen).scale, 1);
});

test("begin shows readable names of the upstream end where the whole would be too small", () => {
  const phone = { width: 366, height: 430 }, graph = { width: 1400, height: 300 };
  const view = begin(graph, phone);
  assert.ok(view.scale > 2 * fit(graph, phone).scale && isVisible(view, phone, 0, 0, 1, 300));
  assert.deepEqual(begin({ width: 900, height: 300 }, screen), fit({ width: 900, height: 300 }, screen));
  assert.deepEqual(begin({ width: 50_000, height: 90_000 }, phone), fit({ width: 50_000, height: 90_000 }, phone));
});

test("zoomAt keeps the point under the pointer and stays within limits", () => {
  const view = zoomAt({ x: 10, y: 20, scale: 1 }, 1.5, 300, 200);
  assert.ok(Math.abs((300 - view.x) / view.scale - 290) < 1e-9);
  assert.equal(zoomAt(view, 1e9, 0, 0).scale, MAX_SCALE);
});

test("center puts a point of the graph in the middle of the screen", () => {
  const view = center({ x: 0, y: 0, scale: 0.5 }, screen, 1000, 400, 0.8);
  assert.deepEqual([1000 * view.scale + view.x, 400 * view.scale + view.y, view.scale], [400, 300, 0.8]);
});

test("isVisible is false for rectangles beyond any side", () => {
  const view = { x: 0, y: 0, scale: 1 };
  for (const [x, y] of [[-60, 10], [801, 10], [10, -60], [10, 601]] as const) assert.ok(!isVisible(view, screen, x, y, 50, 50));
});

const range = (state: Range["state"], count: number, reason: string | null = null): Range => ({ state, reason, count });

test("decode maps each key to its range", () => {
  assert.deepEqual([...decode([range("fresh", 2), range("stale", 1, "why"), range("fresh", 1)])], [0, 0, 1, 2]);
});

test("attempts take precedence over what is stored", () => {
  const ranges = [range("fresh", 3), range("missing", 2)];
  assert.deepEqual(withAttempts(ranges, []), ranges);
  assert.deepEqual(withAttempts(ranges, [[1, "failed", "cold"], [2, "failed", "cold"], [3, "running", null], [4, "failed", "hot"]]),
    [range("fresh", 1), range("failed", 2, "cold"), range("running", 1), range("failed", 1, "hot")]);
});

test("calendar places days by week and weekday and starts a block per year", () => {
  const { places, years } = calendar(["2024-01-01", "2024-01-07", "2024-01-08", "2025-01-01"]);
  assert.deepEqual(places, [{ column: 0, row: 0 }, { column: 0, row: 6 }, { column: 1, row: 0 }, { column: 0, row: 10 }]);
  assert.deepEqual(years, [{ year: 2024, row: 0 }, { year: 2025, row: 8 }]);
});

test("formats read as people write them", () => {
  assert.deepEqual([0, 999, 1000, 999_960, 1.5e9].map(formatSize), ["0 B", "999 B", "1.0 kB", "1.0 MB", "1.5 GB"]);
  assert.deepEqual([0.0000052, 0.0042, 0.25, 12.34, 59.99, 3600, 7260].map(formatDuration), ["5 µs", "4.2 ms", "250 ms", "12.3 s", "1 min 0 s", "1 h 0 min", "2 h 1 min"]);
  assert.deepEqual([0, 30_000, 3_540_000, 7_200_000, 2 * 86_400_000].map((age) => formatAge(0, age)), ["now", "30 s ago", "59 min ago", "2 h ago", "2 d ago"]);
  assert.equal(formatKind("percentage", 12.5), "12.5 %");
});

test("isSelection tells selections from parts of names", () => {
  for (const text of ["group:x", "+orders", "orders+", "2+orders", "raw_*", "a b"]) assert.ok(isSelection(text), text);
  for (const text of ["", " ", "orders", "raw_", "group"]) assert.ok(!isSelection(text), text);
});

test("only http and https become links", () => {
  assert.ok(isWebAddress("https://host/x") && isWebAddress("HTTP://host"));
  for (const text of ["javascript:alert(1)", "data:text/html,x", "//host", "ftp://host", " https://host", "https:/host"]) assert.ok(!isWebAddress(text), text);
});

test("niceTicks cover the range with round numbers", () => {
  assert.deepEqual(niceTicks(0, 97, 4), [0, 50, 100]);
  assert.deepEqual(niceTicks(0.1, 0.34, 4), [0.1, 0.2, 0.3, 0.4]);
  assert.deepEqual(niceTicks(7, 7, 4), [0, 7]);
  assert.deepEqual(niceTicks(-5, 5, 2), [-5, 0, 5]);
});

test("linePath starts with a move and joins points by lines", () => {
  assert.equal(linePath([{ x: 0, y: 1 }, { x: 2.25, y: 3 }]), "M0.0 1.0L2.3 3.0");
});

test("positions adds up the distances of the points of an edge", () => {
  assert.deepEqual(positions([[10, 5], [0, -5], [-3, 2]]), [[10, 5], [10, 0], [7, 2]]);
  assert.deepEqual(positions([]), []);
});
