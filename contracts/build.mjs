// Compiles src/ with the pinned solc and writes one artefact per contract into the Python package.
// `node build.mjs` writes, `--check` exits 1 when the committed artefacts differ from a fresh compile, `--sizes` lists the
// runtime sizes; `--base DIR` and `--out DIR` compile DIR/src into another folder (the mutation tests do).
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { compile, errorsOf, settings, sourcesUnder } from "./compiler.mjs";

const root = path.dirname(fileURLToPath(import.meta.url));
const option = (name, otherwise) => (process.argv.includes(name) ? process.argv[process.argv.indexOf(name) + 1] : otherwise);
const base = option("--base", root);
const target = option("--out", path.resolve(root, "../src/hansa/chain/artifacts"));
const RUNTIME_LIMIT = 24_576; // EIP-170

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}

const sources = sourcesUnder("src", base);
const output = compile({ language: "Solidity", sources, settings: settings() });
const problems = errorsOf(output);
for (const problem of problems) process.stderr.write(problem.formattedMessage);
if (problems.some((problem) => problem.severity === "error")) process.exit(1);

const artefacts = new Map();
for (const file of Object.keys(sources)) {
  for (const [name, contract] of Object.entries(output.contracts[file] ?? {})) {
    const bytecode = contract.evm.bytecode.object;
    const deployable = bytecode !== "" && contract.abi.some((entry) => entry.type === "function");
    if (!deployable) continue; // interfaces, abstract contracts and internal libraries
    const deployed = contract.evm.deployedBytecode.object;
    if (deployed.length / 2 >= RUNTIME_LIMIT) {
      process.stderr.write(`${name}: ${deployed.length / 2} bytes of runtime code, the limit is ${RUNTIME_LIMIT}\n`);
      process.exitCode = 1;
    }
    const content = { contractName: name, abi: contract.abi, bytecode: "0x" + bytecode, deployedBytecode: "0x" + deployed };
    artefacts.set(`${name}.json`, JSON.stringify(sorted(content), null, 1) + "\n");
  }
}

if (process.argv.includes("--sizes")) {
  for (const [file, text] of artefacts) {
    console.log(String((JSON.parse(text).deployedBytecode.length - 2) / 2).padStart(6), file.replace(".json", ""));
  }
}

if (process.argv.includes("--check")) {
  const present = fs.existsSync(target) ? fs.readdirSync(target).filter((file) => file.endsWith(".json")) : [];
  const wrong = present.filter((file) => !artefacts.has(file));
  for (const [file, text] of artefacts) {
    const at = path.join(target, file);
    if (!fs.existsSync(at) || fs.readFileSync(at, "utf8") !== text) wrong.push(file);
  }
  if (wrong.length > 0) {
    console.error(`artefacts differ from the sources: ${wrong.join(", ")}; run: node contracts/build.mjs`);
    process.exit(1);
  }
} else {
  fs.mkdirSync(target, { recursive: true });
  for (const file of fs.readdirSync(target)) {
    if (file.endsWith(".json") && !artefacts.has(file)) fs.rmSync(path.join(target, file));
  }
  for (const [file, text] of artefacts) fs.writeFileSync(path.join(target, file), text);
}
