import { useApi, useAssets, type Asset, type Live, type Report, type Run } from "../api";
import { count, reasonOf, STATES, type State } from "../format";
import { assetPath, Badge, Icon, Link, Loaded, NoAssets, RunLine, StackedBar, SYMBOLS } from "../parts";
import { useState } from "preact/hooks";

export function Overview({ live }: { live: Live }) {
  const assets = useAssets(live.token);
  const runs = useApi<{ runs: Run[] }>("runs?limit=10", live.token);
  return (
    <>
      <h1>Overview</h1>
      <Loaded answer={assets}>{(list) => (list.length ? <Health assets={list} /> : <NoAssets />)}</Loaded>
      <div class="columns">
        <div>
          {assets.data && assets.data.length > 0 && <Attention assets={assets.data} />}
          {(assets.data || assets.error) && <Check definitions={live.definitions} />}
        </div>
        <div>
          <section class="card"><h2>Latest runs <Link to="/runs" class="more">all runs</Link></h2>
            <Loaded answer={runs}>{({ runs: items }) => items.length
              ? <ul class="list">{items.map((run) => <RunLine key={run.run_id} run={run} />)}</ul>
              : <p class="empty">No runs yet. Start one with <code>rivers materialize</code>.</p>}</Loaded></section>
          {assets.data && <><Shares title="Handlers" assets={assets.data} of={(asset) => asset.handler} to={(name) => `/assets?select=${encodeURIComponent(`handler:${name}`)}`} />
            <Shares title="Groups" assets={assets.data} of={(asset) => asset.group ?? ""} to={(name) => `/assets?select=${encodeURIComponent(`group:${name}`)}`} /></>}
        </div>
      </div>
    </>
  );
}

export function countStates(assets: { state: string }[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const asset of assets) counts.set(asset.state, (counts.get(asset.state) ?? 0) + 1);
  return counts;
}

function Health({ assets }: { assets: Asset[] }) {
  const counts = countStates(assets);
  const parts = STATES.map((state): [State, number] => [state, counts.get(state) ?? 0]);
  return (
    <section class="card health" aria-label="State of all assets">
      <div class="health-total"><strong>{assets.length.toLocaleString("en-US")}</strong><span>{assets.length === 1 ? "asset" : "assets"}</span></div>
      <div class="grow">
        <StackedBar parts={parts} label={parts.filter(([, number]) => number).map(([state, number]) => `${number} ${state}`).join(", ")} />
        <ul class="counts">{parts.filter(([state, number]) => number > 0 || state === "fresh").map(([state, number]) => (
          <li key={state}><Link to={`/assets?state=${state}`} class={`count ${state}`}>
            <i aria-hidden="true">{SYMBOLS[state]}</i><strong>{number.toLocaleString("en-US")}</strong> <span>{state}</span></Link></li>
        ))}</ul>
      </div>
    </section>
  );
}

const RANK: State[] = ["failed", "stale", "partial", "missing"];
const MAX_SHOWN = 20;

function Attention({ assets }: { assets: Asset[] }) {
  const due = assets.filter((asset) => RANK.includes(asset.state)).sort((a, b) => RANK.indexOf(a.state) - RANK.indexOf(b.state));
  return (
    <section class="card"><h2>Needs attention {due.length > 0 && <span class="note">{due.length.toLocaleString("en-US")}</span>}</h2>
      {!due.length && <p class="good"><Badge state="fresh" /> Every asset is fresh.</p>}
      <ul class="list">{due.slice(0, MAX_SHOWN).map((asset) => (
        <li key={asset.name}><Badge state={asset.state} /><div class="grow"><Link to={assetPath(asset.name)} class="name">{asset.name}</Link>
          <span class="note">{reasonOf(asset.state, asset.detail)}</span></div></li>))}</ul>
      {due.length > MAX_SHOWN && <p class="note"><Link to="/assets">{count(due.length - MAX_SHOWN, "more asset")}</Link></p>}
    </section>
  );
}

function Shares({ title, assets, of, to }: { title: string; assets: Asset[]; of: (asset: Asset) => string; to: (name: string) => string }) {
  const shares = new Map<string, Asset[]>();
  for (const asset of assets) { const list = shares.get(of(asset)); if (list) list.push(asset); else shares.set(of(asset), [asset]); }
  if (shares.size < 2 && shares.has("")) return null;
  const sorted = [...shares].sort((a, b) => b[1].length - a[1].length);
  return (
    <section class="card"><h2>{title} {sorted.length > 12 && <span class="note">the largest 12 of {sorted.length}</span>}</h2>
      <ul class="shares">{sorted.slice(0, 12).map(([name, list]) => {
        const counts = countStates(list);
        return <li key={name}>{name ? <Link to={to(name)}>{name}</Link> : <span class="note">no group</span>}
          <StackedBar parts={STATES.map((state) => [state, counts.get(state) ?? 0])} label={STATES.filter((state) => counts.get(state)).map((state) => `${counts.get(state)} ${state}`).join(", ")} />
          <span class="note number">{list.length.toLocaleString("en-US")}</span></li>;
      })}</ul></section>
  );
}

/** Findings of `rivers check`; the stores are only tested on a click, since that writes a small value. */
export function Check({ definitions, stores = false }: { definitions: string; stores?: boolean }) {
  const [isProbing, setProbing] = useState(false);
  const answer = useApi<Report>(isProbing ? "check?probe=1" : "check", isProbing ? "" : definitions);
  return (
    <section class="card"><h2>Check <span class="note"><code>rivers check</code></span></h2>
      <Loaded answer={answer}>{(report) => <>
        {report.findings.map((text) => <pre key={text} class="finding bad">{text}</pre>)}
        {report.warnings.map((text) => <pre key={text} class="finding">{text}</pre>)}
        {report.ok && !report.warnings.length && <p class="good"><Badge state="success" /> No problems found.</p>}
        {report.stores.length > 0 && <div class="x-scroll"><table class="tight"><thead><tr><th>Store</th><th>State</th><th class="number">Put</th><th class="number">Get</th><th class="number">Delete</th><th>Address</th></tr></thead>
          <tbody>{report.stores.map((store) => <tr key={store.name}><td class="name">{store.name}</td><td>{store.state}</td>
            {["put", "get", "delete"].map((action) => <td key={action} class="number">{store.seconds[action] === undefined ? "" : `${(store.seconds[action]! * 1000).toFixed(1)} ms`}</td>)}
            <td class="note">{store.remark ?? store.address}</td></tr>)}</tbody></table></div>}
        {stores && !isProbing && <p><button type="button" onClick={() => setProbing(true)}><Icon name="handlers" /> Test the stores</button>{" "}
          <span class="note">Writes, reads and deletes a small value in each.</span></p>}
      </>}</Loaded>
    </section>
  );
}
