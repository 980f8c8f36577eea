// The one place that knows how this project calls solc: version from npm, Shanghai, 200 runs, no IR.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const root = path.dirname(fileURLToPath(import.meta.url));
const solc = createRequire(import.meta.url)("solc");

export const version = () => solc.version();

export function settings() {
  return {
    evmVersion: "shanghai",
    viaIR: false,
    optimizer: { enabled: true, runs: 200 },
    metadata: { bytecodeHash: "none", appendCBOR: false }, // the same bytes wherever the sources lie
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
  };
}

/** Every .sol file below `folder` (relative to contracts/) as a standard-JSON source, in sorted order. */
export function sourcesUnder(folder, base = root) {
  const files = fs.readdirSync(path.join(base, folder), { recursive: true }).map(String);
  const names = files.filter((file) => file.endsWith(".sol")).map((file) => path.posix.join(folder, file)).sort();
  return Object.fromEntries(names.map((name) => [name, { content: fs.readFileSync(path.join(base, name), "utf8") }]));
}

function read(name) {
  for (const folder of [".", "node_modules"]) {
    const file = path.resolve(root, folder, name);
    if (fs.existsSync(file)) return { contents: fs.readFileSync(file, "utf8") };
  }
  return { error: `no such source: ${name}` };
}

export const compile = (input) => JSON.parse(solc.compile(JSON.stringify(input), { import: read }));

/** Errors, and warnings about our own sources only: a pinned library's are its own. */
export const errorsOf = (output) =>
  (output.errors ?? []).filter((e) => e.severity === "error" || !(e.sourceLocation?.file ?? "").startsWith("@"));
