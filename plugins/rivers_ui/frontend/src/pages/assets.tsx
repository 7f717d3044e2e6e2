import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ActionButton } from "../actions";
import { useApi, useAssets, type Asset, type Live } from "../api";
import { count, formatNumber, formatSize, isSelection, STATES } from "../format";
import { assetPath, Badge, handlerPath, Icon, Link, Loaded, NoAssets, StackedBar, StateLegend, Time, useQuery } from "../parts";
import { countStates } from "./overview";

/** Text that is applied to names as it is typed; a selection such as `group:x +name` is resolved by the server. */
export function FilterBox() {
  const [query, setQuery] = useQuery();
  const current = query.get("select") ?? "";
  const [text, setText] = useState(current);
  useEffect(() => setText(current), [current]);
  return (
    <label class="filter"><Icon name="search" /><span class="sr">Filter</span>
      <input id="filter" type="search" value={text} autocomplete="off" spellcheck={false} placeholder="Filter: part of a name, group:x, +name, handler:x"
        onInput={(event) => { setText(event.currentTarget.value); setQuery({ select: event.currentTarget.value.trim() }); }} /></label>
  );
}

/** The assets that the filter in the address stands for; null while the server resolves a selection. */
export function useFiltered(assets: Asset[] | null, select: string, definitions: string): { list: Asset[] | null; error: string | null } {
  const [settled, setSettled] = useState(select);
  useEffect(() => { const timer = window.setTimeout(() => setSettled(select), 200); return () => window.clearTimeout(timer); }, [select]);
  const isOnServer = isSelection(settled);
  const answer = useApi<string[]>(isOnServer ? `select?select=${encodeURIComponent(settled)}` : null, definitions);
  return useMemo(() => {
    if (!assets) return { list: null, error: null };
    if (!select.trim()) return { list: assets, error: null };
    if (isSelection(select)) {
      if (answer.error) return { list: [], error: answer.error.message };
      if (settled !== select || !answer.data) return { list: null, error: null };
      const names = new Set(answer.data);
      return { list: assets.filter((asset) => names.has(asset.name)), error: null };
    }
    const text = select.trim().toLowerCase();
    return { list: assets.filter((asset) => asset.name.toLowerCase().includes(text) || asset.group?.toLowerCase().includes(text)), error: null };
  }, [assets, select, settled, answer.data, answer.error]);
}

const ROW = 38;
const AROUND = 12;

type Key = (asset: Asset) => string | number;
const COLUMNS: { title: string; key: Key; class?: string; cell: (asset: Asset) => preact.ComponentChildren }[] = [
  { title: "State", key: (asset) => STATES.indexOf(asset.state), cell: (asset) => <Badge state={asset.state} /> },
  { title: "Asset", key: (asset) => asset.name, class: "main", cell: (asset) => <><Link to={assetPath(asset.name)} class="name">{asset.name}</Link>{asset.kinds.length > 0 && <span class="note wide"> {asset.kinds.join(", ")}</span>}</> },
  { title: "Group", key: (asset) => asset.group ?? "", class: "wide", cell: (asset) => <span class="note">{asset.group}</span> },
  { title: "Handler", key: (asset) => asset.handler, class: "wide", cell: (asset) => <Link to={handlerPath(asset.handler)} class="chip">{asset.handler}</Link> },
  { title: "Stored", key: (asset) => -(asset.at ?? 0), cell: (asset) => asset.at !== null && <Link to={`/runs/${asset.run_id}`} class="note"><Time at={asset.at} /></Link> },
  { title: "Rows", key: (asset) => -(asset.rows ?? -1), class: "wide number", cell: (asset) => asset.rows !== null && formatNumber(asset.rows) },
  { title: "Size", key: (asset) => -(asset.size ?? -1), class: "wide number", cell: (asset) => asset.size !== null && formatSize(asset.size) },
  { title: "Partitions", key: (asset) => -(asset.partitions ?? -1), class: "wide", cell: (asset) => <PartitionBar asset={asset} /> },
];

export function PartitionBar({ asset }: { asset: Asset }) {
  if (asset.partitions === null) return null;
  const [fresh, stale, missing] = asset.counts;
  return <span class="partition-bar"><StackedBar parts={[["fresh", fresh], ["stale", stale], ["missing", missing]]} label={`${fresh} fresh, ${stale} stale, ${missing} missing`} />
    <span class="note number">{(fresh + stale).toLocaleString("en-US")} of {asset.partitions.toLocaleString("en-US")}</span></span>;
}

export function Assets({ live }: { live: Live }) {
  const [query, setQuery] = useQuery();
  const assets = useAssets(live.token);
  const select = query.get("select") ?? "", state = query.get("state") ?? "", sort = query.get("sort") ?? "";
  const { list, error } = useFiltered(assets.data, select, live.definitions);
  const counts = useMemo(() => countStates(list ?? []), [list]);
  const shown = useMemo(() => {
    const kept = (list ?? []).filter((asset) => !state || asset.state === state);
    const column = COLUMNS.find(({ title }) => title === sort.replace("-", ""));
    if (!column) return kept;
    const sign = sort.startsWith("-") ? -1 : 1;
    const keyed = kept.map((asset) => [column.key(asset), asset] as const);
    keyed.sort(([a], [b]) => (a < b ? -sign : a > b ? sign : 0));
    return keyed.map(([, asset]) => asset);
  }, [list, state, sort]);
  return (
    <>
      <div class="head"><h1>Assets</h1><span class="note">{list && (list.length === shown.length ? count(shown.length, "asset") : `${shown.length} of ${count(list.length, "asset")}`)}</span>
        {select && list && list.length > 0 && <span class="end"><ActionButton label={`Materialize ${count(list.length, "asset")}`} question="Run these assets and store their results?"
          command={`rivers materialize ${select}`} path="runs" body={{ select: isSelection(select) ? select : list.map(({ name }) => name).join(" ") }} /></span>}
        <Link to={`/lineage${select ? `?select=${encodeURIComponent(select)}` : ""}`} class="button end"><Icon name="lineage" /> Lineage</Link></div>
      <div class="toolbar"><FilterBox /><StateLegend counts={counts} selected={state} onSelect={(next) => setQuery({ state: next })} /></div>
      {error && <p class="problem" role="alert">{error}</p>}
      <Loaded answer={list === null && !assets.error ? { data: null, error: null } : assets}>{() => shown.length
        ? <Table assets={shown} sort={sort} onSort={(next) => setQuery({ sort: next })} />
        : !assets.data?.length ? <NoAssets />
        : <p class="empty card">No assets match. {select && <button type="button" onClick={() => setQuery({ select: "", state: "" })}>Clear the filter</button>}</p>}</Loaded>
    </>
  );
}

/** Table that only has the rows in view in the document. */
function Table({ assets, sort, onSort }: { assets: Asset[]; sort: string; onSort: (sort: string) => void }) {
  const [top, setTop] = useState(0);
  const box = useRef<HTMLDivElement>(null);
  const rows = Math.ceil((box.current?.clientHeight ?? 900) / ROW) + 2 * AROUND;
  const first = Math.max(0, Math.min(Math.floor(top / ROW) - AROUND, assets.length - rows));
  const shown = assets.slice(first, first + rows);
  return (
    <div class="scroll card flush" ref={box} tabIndex={0} role="region" aria-label="Table of assets"
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}>
      <table class="virtual" aria-rowcount={assets.length + 1}>
        <thead><tr>{COLUMNS.map(({ title, class: style }) => {
          const direction = sort === title ? "ascending" : sort === `-${title}` ? "descending" : undefined;
          return <th key={title} class={style} aria-sort={direction}><button type="button" class="sort"
            onClick={() => onSort(sort === title ? `-${title}` : sort === `-${title}` ? "" : title)}>{title}
            <span aria-hidden="true">{direction === "ascending" ? " ↓" : direction === "descending" ? " ↑" : ""}</span></button></th>;
        })}</tr></thead>
        <tbody>
          <tr class="spacer" aria-hidden="true"><td style={{ height: `${first * ROW}px` }} /></tr>
          {shown.map((asset, index) => (
            <tr key={asset.name} aria-rowindex={first + index + 2} title={asset.detail}>
              {COLUMNS.map(({ title, class: style, cell }) => <td key={title} class={style}>{cell(asset)}</td>)}
            </tr>
          ))}
          <tr class="spacer" aria-hidden="true"><td style={{ height: `${(assets.length - first - shown.length) * ROW}px` }} /></tr>
        </tbody>
      </table>
    </div>
  );
}
