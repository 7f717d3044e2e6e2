// Buttons that start or cancel a run. They exist only if the server runs with --actions, and ask before they act.
import { useEffect, useRef, useState } from "preact/hooks";
import { get, post, useApi, type Action, type Project } from "./api";
import { Link } from "./parts";

export function ActionButton({ label, question, command, path, body = {} }: {
  label: string; question: string; command: string; path: string; body?: Record<string, string>;
}) {
  const project = useApi<Project>("project", "");
  const [isOpen, setOpen] = useState(false);
  if (!project.data?.actions) return null;
  return <><button type="button" onClick={() => setOpen(true)}>{label}</button>
    {isOpen && <Confirmation label={label} question={question} command={command} start={() => post<Action>(path, body)} onClose={() => setOpen(false)} />}</>;
}

function Confirmation({ label, question, command, start, onClose }: {
  label: string; question: string; command: string; start: () => Promise<Action>; onClose: () => void;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [action, setAction] = useState<Action | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [isStarting, setStarting] = useState(false);
  useEffect(() => { dialog.current?.showModal(); }, []);
  useEffect(() => {
    if (!action || action.code !== null) return;
    const timer = window.setTimeout(() => void get<Action[]>("actions").then((list) => setAction(list.find(({ id }) => id === action.id) ?? action), () => setAction({ ...action })), 700);
    return () => window.clearTimeout(timer);
  }, [action]);
  const run = () => {
    setStarting(true);
    start().then(setAction, (error: Error) => setProblem(error.message)).finally(() => setStarting(false));
  };
  return (
    <dialog class="confirmation" ref={dialog} aria-label={label} onClose={onClose}>
      <p>{question}</p><pre>{action?.command ?? command}</pre>
      {problem && <p class="problem" role="alert">{problem}</p>}
      {action && <p role="status">{action.code === null ? <>Running. <Link to="/runs">Runs</Link> shows its progress; it goes on when this page is closed.</> : action.code === 0 ? "Done." : `The command ended with exit code ${action.code}.`}</p>}
      {action?.code ? <pre class="bad">{action.output}</pre> : null}
      <p class="buttons">{!action && <button type="button" class="primary" disabled={isStarting} onClick={run}>{label}</button>}
        <button type="button" onClick={() => dialog.current?.close()}>{action ? "Close" : "Back"}</button></p>
    </dialog>
  );
}
