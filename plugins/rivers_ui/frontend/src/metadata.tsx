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

const MAX_NODES = 500;

/** A collapsible tree; lists and objects below the second level are closed. */
function Json({ value, depth = 0 }: { value: unknown; depth?: number }) {
  if (value === null || typeof value !== "object") {
    return <span class={`json-${value === null ? "null" : typeof value}`}>{typeof value === "string" ? JSON.stringify(value) : String(value)}</span>;
  }
  const isList = Array.isArray(value);
  const entries = Object.entries(value);
  if (!entries.length) return <span>{isList ? "[]" : "{}"}</span>;
  if (depth > 12) return <span>{JSON.stringify(value).slice(0, LONG)}</span>;
  return (
    <details class="json" open={depth < 2 && entries.length <= 20}>
      <summary>{isList ? `list of ${entries.length}` : `${entries.length} ${entries.length === 1 ? "key" : "keys"}`}</summary>
      <ul>{entries.slice(0, MAX_NODES).map(([key, item]) => <li key={key}><span class="json-key">{key}</span> <Json value={item} depth={depth + 1} /></li>)}
        {entries.length > MAX_NODES && <li class="note">{entries.length - MAX_NODES} more</li>}</ul>
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
    return <time dateTime={date.toISOString()} title={date.toISOString()}>{date.toLocaleString()} <span class="note">{formatAge(date.getTime())}</span></time>;
  },
  bool: (value) => <span>{value.value ? "✓ true" : "✕ false"}</span>,
  null: () => <span class="note">null</span>,
  path: (value) => <Copy text={String(value.value)} />,
  data_version: (value) => <Copy text={String(value.value)} label={String(value.value).slice(0, 16)} />,
  url: (value) => <WebLink to={String(value.value)} />,
  json: (value) => <Json value={parsed(value.value)} />,
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
