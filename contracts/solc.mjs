#!/usr/bin/env node
// Looks like native solc to forge (--version, --standard-json) and to crytic-compile (--combined-json), and is the npm one.
// Output is written synchronously: a process that exits after an asynchronous write cuts pipes at 64 kB.
import fs from "node:fs";
import path from "node:path";
import { compile, settings, version } from "./compiler.mjs";

const args = process.argv.slice(2);
const print = (text) => {
  for (let left = Buffer.from(text); left.length > 0; ) {
    try {
      left = left.subarray(fs.writeSync(1, left));
    } catch (error) {
      if (error.code !== "EAGAIN") throw error; // the reader of the pipe is slower than we are
    }
  }
};

function combined(file) {
  const contract = ["abi", "evm.bytecode", "evm.deployedBytecode", "evm.methodIdentifiers", "userdoc", "devdoc"];
  const input = {
    language: "Solidity",
    sources: { [file]: { content: fs.readFileSync(file, "utf8") } },
    settings: { ...settings(), outputSelection: { "*": { "*": contract, "": ["ast"] } } },
  };
  const output = compile(input);
  const failed = (output.errors ?? []).filter((error) => error.severity === "error");
  if (failed.length > 0) {
    process.stderr.write(failed.map((error) => error.formattedMessage).join("\n"));
    process.exit(1);
  }
  const contracts = {};
  for (const [source, named] of Object.entries(output.contracts)) {
    for (const [name, one] of Object.entries(named)) {
      contracts[`${source}:${name}`] = {
        abi: one.abi,
        bin: one.evm.bytecode.object,
        "bin-runtime": one.evm.deployedBytecode.object,
        srcmap: one.evm.bytecode.sourceMap,
        "srcmap-runtime": one.evm.deployedBytecode.sourceMap,
        hashes: one.evm.methodIdentifiers,
        userdoc: one.userdoc,
        devdoc: one.devdoc,
      };
    }
  }
  const byId = Object.entries(output.sources).sort(([, a], [, b]) => a.id - b.id);
  const sources = Object.fromEntries(byId.map(([name, { ast, id }]) => [name, { AST: ast, id }]));
  return { contracts, sources, sourceList: byId.map(([name]) => name), version: version() };
}

if (args.includes("--version")) {
  print(`solc, the solidity compiler commandline interface\nVersion: ${version()}\n`);
} else if (args.includes("--standard-json")) {
  print(JSON.stringify(compile(JSON.parse(fs.readFileSync(0, "utf8")))));
} else {
  const file = args.find((argument) => path.extname(argument) === ".sol");
  print(JSON.stringify(combined(file)));
}
