// Bundle the page into src/rivers_ui/static. With --watch, rebuild when a source changes.
import { build, context } from "esbuild";
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";

const target = "../src/rivers_ui/static";
const options = {
  entryPoints: { app: "src/app.tsx", style: "src/style.css" },
  outdir: target,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2023",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
};

await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
await copyFile("src/index.html", `${target}/index.html`);
await copyFile("src/icon.svg", `${target}/icon.svg`);
const licenses = await readFile("node_modules/preact/LICENSE", "utf8");
await writeFile(`${target}/LICENSES.txt`, `preact\n\n${licenses}`);
if (process.argv.includes("--watch")) await (await context(options)).watch();
else await build(options);
