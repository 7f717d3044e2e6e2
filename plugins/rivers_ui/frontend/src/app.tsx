// The shell of the page: navigation, search, live state, and the page that the address names.
import { render } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { useApi, useAssets, useLive, type Live, type Project, type Run } from "./api";
import { AssetPage } from "./pages/asset";
import { Assets } from "./pages/assets";
import { LineagePage } from "./pages/lineage";
import { Configuration, Handlers, Logs, Plugins } from "./pages/others";
import { Overview } from "./pages/overview";
import { RunPage, Runs } from "./pages/runs";
import { assetPath, describeRun, go, handlerPath, Icon, Link, runState, SYMBOLS } from "./parts";

const PAGES = [["/", "Overview", "overview"], ["/assets", "Assets", "assets"], ["/lineage", "Lineage", "lineage"], ["/runs", "Runs", "runs"],
  ["/handlers", "Handlers", "handlers"], ["/plugins", "Plugins", "plugins"], ["/logs", "Log", "logs"], ["/config", "Configuration", "config"]] as const;

function View({ path, live, project }: { path: string; live: Live; project: Project | null }) {
  if (path.startsWith("/assets/")) return <AssetPage name={decodeURIComponent(path.slice(8))} live={live} project={project} />;
  if (path.startsWith("/runs/")) return <RunPage id={decodeURIComponent(path.slice(6))} live={live} />;
  if (path === "/assets") return <Assets live={live} />;
  if (path === "/lineage") return <LineagePage live={live} />;
  if (path === "/runs") return <Runs live={live} />;
  if (path.startsWith("/handlers/")) return <Handlers live={live} name={decodeURIComponent(path.slice(10))} />;
  if (path === "/handlers") return <Handlers live={live} />;
  if (path === "/plugins") return <Plugins live={live} />;
  if (path === "/logs") return <Logs live={live} />;
  if (path === "/config") return <Configuration live={live} />;
  return <Overview live={live} />;
}

/** Pages that also work if the project cannot be loaded. */
const OWN_DATA = /^\/(runs|logs)/;

interface Hit { to: string; title: string; kind: string; symbol: string | undefined; state?: string }

const MAX_HITS = 12;

/** Search over pages, assets, handlers and the newest runs. */
function Search({ live, onClose }: { live: Live; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [text, setText] = useState("");
  const [index, setIndex] = useState(0);
  const assets = useAssets(live.token);
  const runs = useApi<{ runs: Run[] }>("runs?limit=100", live.token);
  useLayoutEffect(() => { dialog.current?.showModal(); }, []);  // before the next key, which belongs to the text
  const all = useMemo((): Hit[] => [
    ...(assets.data ?? []).map((asset) => ({ to: assetPath(asset.name), title: asset.name, kind: asset.group ?? "asset", symbol: SYMBOLS[asset.state], state: asset.state })),
    ...PAGES.map(([to, title]) => ({ to, title, kind: "page", symbol: "›" })),
    ...[...new Set(assets.data?.map(({ handler }) => handler))].map((name) => ({ to: handlerPath(name), title: name, kind: "handler", symbol: "›" })),
    ...(runs.data?.runs ?? []).map((run) => ({ to: `/runs/${run.run_id}`, title: `${describeRun(run)} ${run.run_id.slice(0, 8)}`, kind: `${runState(run.status)} run`, symbol: SYMBOLS[runState(run.status)], state: runState(run.status) })),
  ], [assets.data, runs.data]);
  const hits = useMemo(() => {
    const wanted = text.trim().toLowerCase();
    if (!wanted) return [...all.filter(({ kind }) => kind !== "page").slice(0, 6), ...all.filter(({ kind }) => kind === "page")].slice(0, MAX_HITS);
    const rank = ({ title }: Hit) => { const at = title.toLowerCase().indexOf(wanted); return at < 0 ? Infinity : at === 0 ? 0 : /[_/\s-]/.test(title[at - 1] ?? "") ? 1 : 2; };
    return all.map((hit) => [rank(hit), hit] as const).filter(([value]) => value < Infinity)
      .sort((a, b) => a[0] - b[0] || a[1].title.length - b[1].title.length).slice(0, MAX_HITS).map(([, hit]) => hit);
  }, [all, text]);
  const open = (hit: Hit | undefined) => { if (hit) { onClose(); go(hit.to); } };
  return (
    <dialog class="search" ref={dialog} aria-label="Search" onClose={onClose} onClick={(event) => { if (event.target === dialog.current) onClose(); }}>
      <input type="search" aria-label="Search assets, handlers, runs and pages" placeholder="Search assets, handlers, runs and pages" aria-controls="hits" aria-activedescendant={`hit-${index}`}
        autofocus value={text} autocomplete="off" spellcheck={false} onInput={(event) => { setText(event.currentTarget.value); setIndex(0); }}
        onKeyDown={(event) => {
          if (event.key === "ArrowDown") { event.preventDefault(); setIndex(Math.min(index + 1, hits.length - 1)); }
          else if (event.key === "ArrowUp") { event.preventDefault(); setIndex(Math.max(index - 1, 0)); }
          else if (event.key === "Enter") open(hits[index]);
        }} />
      <ul id="hits" role="listbox" aria-label="Results">{hits.map((hit, at) => (
        <li key={hit.to} id={`hit-${at}`} role="option" aria-selected={at === index} onMouseMove={() => setIndex(at)} onClick={() => open(hit)}>
          <i class={hit.state} aria-hidden="true">{hit.symbol}</i><span class="grow">{hit.title}</span><span class="note">{hit.kind}</span></li>))}</ul>
      {!hits.length && <p class="empty">Nothing matches.</p>}
    </dialog>
  );
}

function App() {
  const [, setLocation] = useState(location.href);
  const [isSearching, setSearching] = useState(false);
  const live = useLive();
  const project = useApi<Project>("project", "");
  useEffect(() => {
    const update = () => setLocation(location.href);
    const openPath = (event: Event) => go((event as CustomEvent<string>).detail);
    const search = (event: KeyboardEvent) => {
      const isTyping = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
      if ((event.key === "/" && !isTyping) || (event.key === "k" && (event.ctrlKey || event.metaKey))) {
        event.preventDefault();
        setSearching(true);
      }
    };
    window.addEventListener("popstate", update);
    window.addEventListener("keydown", search);
    window.addEventListener("rivers-go", openPath);
    return () => { window.removeEventListener("popstate", update); window.removeEventListener("keydown", search); window.removeEventListener("rivers-go", openPath); };
  }, []);
  const path = location.pathname;
  const section = PAGES.find(([to]) => to !== "/" && path.startsWith(to));
  const isDetail = path.startsWith("/assets/") || path.startsWith("/runs/");
  useEffect(() => { document.title = `${isDetail ? decodeURIComponent(path.split("/").pop() ?? "") : section?.[1] ?? "Overview"} · ${project.data?.name ?? "rivers"}`; });
  useEffect(() => { window.scrollTo(0, 0); document.querySelector("nav [aria-current]")?.scrollIntoView({ inline: "nearest", block: "nearest" }); }, [path]);
  const running = live.running[0];
  return (
    <>
      <a class="skip" href="#main">Skip to the content</a>
      <aside class="rail" aria-label="Project">
        <Link to="/" class="brand"><img src="/static/icon.svg" alt="" width="26" height="26" /><span><b>{project.data?.name ?? "rivers"}</b>
          <small>{project.data?.environment ?? "rivers"}</small></span></Link>
        <nav aria-label="Pages">{PAGES.map(([to, title, icon]) => (
          <Link key={to} to={to} current={to === (section?.[0] ?? "/")}><Icon name={icon} /><span>{title}</span></Link>))}</nav>
        <p class="log-path" title={project.data?.event_log}><bdi>{project.data?.event_log}</bdi></p>
      </aside>
      <div class="body">
        <header>
          <button type="button" class="search-button" onClick={() => setSearching(true)}><Icon name="search" /><span>Search</span><kbd>Ctrl K</kbd></button>
          {running && <Link to={`/runs/${running.run_id}`} class="running-link"><i aria-hidden="true" />{live.running.length === 1 ? describeRun(running) : `${live.running.length} runs`}<span class="sr"> running</span></Link>}
          <span class={`live ${live.state}`} role="status">{live.state}</span>
        </header>
        {live.state === "disconnected" && <p class="problem outage" role="alert">The server does not answer. What is shown may be outdated; it is updated when the server is back.</p>}
        {live.state === "locked" && <p class="problem outage" role="alert">This tab has no token of the server, which may have been started again. Open the address that <code>rivers ui</code> has printed; this tab follows.</p>}
        {live.problem && OWN_DATA.test(path) && <p class="problem outage" role="status">The project cannot be loaded: {live.problem.split("\n")[0]} <Link to="/">Show the error</Link></p>}
        <main id="main" tabIndex={-1}><View key={path} path={path} live={live} project={project.data} /></main>
      </div>
      {isSearching && <Search live={live} onClose={() => setSearching(false)} />}
    </>
  );
}

const root = document.getElementById("app");
if (root) render(<App />, root);
