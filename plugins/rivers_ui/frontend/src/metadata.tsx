// One renderer per kind of metadata value; a kind that this page does not know is shown as text.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Value } from "./api";
import { formatAge, formatDuration, formatNumber, formatSize } from "./format";
import { isWebAddress, Markup, WebLink } from "./markup";
import { Copy } from "./parts";

const LONG = 300;

function Text({ text }: { text: string }) {
  const [isOpen, setOpen] = useState(false);
  if (text.length <= LONG) return <span class="text">{text}</span>;
  return <span class="text">{isOpen ? text : `${text.slice(0, LONG)}…`}{" "}
    <button type="button" class="quiet" onClick={() => setOpen(!isOpen)}>{isOpen ? "less" : `all ${formatNumber(text.length)} characters`}</button></span>;
}

const MAX_NODES = 10_000;

type JsonTree = { text: string; kind: string } | { isList: boolean; entries: [string, JsonTree][]; size: number };

/** The first nodes of a JSON value; `budget` counts those that may still be shown. */
function treeOf(value: unknown, budget: { nodes: number }, depth = 0): JsonTree {
  if (value === null || typeof value !== "object") {
    return { text: typeof value === "string" ? JSON.stringify(value) : String(value), kind: value === null ? "null" : typeof value };
  }
  if (depth > 12) return { text: JSON.stringify(value).slice(0, LONG), kind: "string" };
  const all = Object.entries(value);
  const entries: [string, JsonTree][] = [];
  for (const [key, item] of all) {
    if (budget.nodes-- <= 0) break;
    entries.push([key, treeOf(item, budget, depth + 1)]);
  }
  return { isList: Array.isArray(value), entries, size: all.length };
}

/** A collapsible tree; lists and objects below the second level are closed. */
function Json({ tree, depth = 0 }: { tree: JsonTree; depth?: number }) {
  if ("text" in tree) return <span class={`json-${tree.kind}`}>{tree.text}</span>;
  const { isList, entries, size } = tree;
  if (!size) return <span>{isList ? "[]" : "{}"}</span>;
  return (
    <details class="json" open={depth < 2 && size <= 20}>
      <summary>{isList ? `list of ${size}` : `${size} ${size === 1 ? "key" : "keys"}`}</summary>
      <ul>{entries.map(([key, item]) => <li key={key}><span class="json-key">{key}</span> <Json tree={item} depth={depth + 1} /></li>)}
        {entries.length < size && <li class="note">{formatNumber(size - entries.length)} more</li>}</ul>
    </details>
  );
}

function Code({ value }: { value: Value }) {
  return <div class="code-box">{value.note && <span class="note">{value.note}</span>}
    <Copy text={value.text ?? ""} label="Copy" /><pre><Markup tree={value.tree ?? []} /></pre></div>;
}

function Image({ value }: { value: Value }) {
  if (value.data && /^data:image\/(png|jpeg|gif|webp);base64,/.test(value.data)) return <img class="picture" src={value.data} alt="Image from the metadata" />;
  return <Address text={String(value.value ?? "")} />;
}

function Address({ text }: { text: string }) {
  return isWebAddress(text) ? <WebLink to={text} /> : <Text text={text} />;
}

const number = (value: Value) => Number(value.value);

const RENDERERS: Record<string, (value: Value) => ComponentChildren> = {
  int: (value) => <span class="number">{formatNumber(number(value))}</span>,
  float: (value) => <span class="number">{typeof value.value === "number" ? formatNumber(value.value) : String(value.value)}</span>,
  bytes: (value) => <span class="number" title={`${formatNumber(number(value))} bytes`}>{formatSize(number(value))}</span>,
  duration: (value) => <span class="number" title={`${value.value} s`}>{formatDuration(number(value))}</span>,
  percentage: (value) => <span class="number">{formatNumber(number(value))} %</span>,
  timestamp: (value) => {
    const date = new Date(number(value) * 1000);
    const utc = date.toISOString();
    return <time dateTime={utc}>{date.toLocaleString()} <span class="note">{utc.slice(0, 19).replace("T", " ")} UTC, {formatAge(date.getTime())}</span></time>;
  },
  bool: (value) => <span>{value.value ? "✓ true" : "✕ false"}</span>,
  null: () => <span class="note">null</span>,
  path: (value) => <Copy text={String(value.value)} />,
  data_version: (value) => <Copy text={String(value.value)} label={String(value.value).slice(0, 16)} />,
  url: (value) => <WebLink to={String(value.value)} />,
  json: (value) => <Json tree={treeOf(parsed(value.value), { nodes: MAX_NODES })} />,
  md: (value) => <div class="markdown"><Markup tree={value.tree ?? []} /></div>,
  sql: (value) => <Code value={value} />,
  code_block: (value) => <Code value={value} />,
  image: (value) => <Image value={value} />,
  list: (value) => <ul class="values">{(value.values ?? []).map((item, index) => <li key={index}><Metadata value={item} /></li>)}</ul>,
  date_range: (value) => <span>{value.start} to {value.end}</span>,
  schema: (value) => (
    <table class="tight"><thead><tr><th>Column</th><th>Type</th></tr></thead><tbody>{(value.columns ?? []).map((column) => (
      <tr key={column.name}><td>{column.name}</td><td><code>{column.type}</code></td></tr>))}</tbody></table>
  ),
};

function parsed(value: unknown): unknown {
  if (typeof value !== "string") return value;
  try { return JSON.parse(value); } catch { return value; }
}

export function Metadata({ value }: { value: Value }) {
  const render = RENDERERS[value.type];
  return <>{render ? render(value) : <Text text={typeof value.value === "string" ? value.value : JSON.stringify(value.value ?? value)} />}</>;
}
