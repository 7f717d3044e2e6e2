// Trees of Markdown and code as elements. Only elements and attributes of this list are made; everything else is text.
import { h, type ComponentChildren } from "preact";

export type Tree = (string | [name: string, attributes: Record<string, string>, children: Tree])[];

const ELEMENTS = new Set(["p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong",
  "s", "hr", "br", "table", "thead", "tbody", "tr", "th", "td", "span"]);

export function isWebAddress(text: string): boolean {
  return /^https?:\/\/[^\s/]/i.test(text);
}

export function WebLink({ to, children }: { to: string; children?: ComponentChildren }) {
  if (!isWebAddress(to)) return <span title={to}>{children ?? to}</span>;
  const link = <a href={to} rel="noopener noreferrer" target="_blank" title={to}>{children ?? to}</a>;
  return children === undefined ? link : <>{link} <span class="note">({hostOf(to)})</span></>;
}

function hostOf(address: string): string {
  try { return new URL(address).host; } catch { return address; }
}

export function Markup({ tree }: { tree: Tree }) {
  return <>{tree.map((item, index) => {
    if (typeof item === "string") return item;
    const [name, attributes, children] = item;
    const content = <Markup tree={children} />;
    if (name === "a") return <WebLink key={index} to={attributes["href"] ?? ""}>{content}</WebLink>;
    if (!ELEMENTS.has(name)) return content;
    if (name === "hr" || name === "br") return h(name, { key: index });
    const style = attributes["class"];
    return h(name, { key: index, class: style && /^code-[a-z]+$/.test(style) ? style : undefined }, content);
  })}</>;
}
