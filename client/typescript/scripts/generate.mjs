// Makes src/gen from the contract: `npm run generate`. With --check it changes nothing, and fails when src/gen is not
// what would be made. PYTHON is a Python with grpcio-tools, which has protoc; the repository's own by default.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const home = fileURLToPath(new URL("..", import.meta.url));
const repository = join(home, "..", "..");
const contract = join(repository, "protos");
const own = join(home, "protos");
const generated = join(home, "src", "gen");

function files(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
}

function generate(target) {
  const python = process.env.PYTHON ?? join(repository, ".venv", "bin", "python");
  const sources = [join(contract, "checkpointd"), own].flatMap((directory) =>
    files(directory)
      .filter((file) => file.endsWith(".proto"))
      .map((file) => join(directory, file)),
  );
  execFileSync(
    python,
    [
      ...["-m", "grpc_tools.protoc", `-I${contract}`, `-I${own}`],
      `--plugin=protoc-gen-es=${join(home, "node_modules", ".bin", "protoc-gen-es")}`,
      ...[`--es_out=${target}`, "--es_opt=target=ts,import_extension=js"],
      ...sources,
    ],
    { stdio: "inherit" },
  );
}

if (process.argv.includes("--check")) {
  const fresh = mkdtempSync(join(tmpdir(), "checkpointd-gen-"));
  try {
    generate(fresh);
    const names = [...new Set([...files(fresh), ...files(generated)])];
    const stale = names.filter(
      (name) =>
        !existsSync(join(fresh, name)) ||
        !existsSync(join(generated, name)) ||
        readFileSync(join(fresh, name), "utf8") !== readFileSync(join(generated, name), "utf8"),
    );
    if (stale.length > 0) {
      console.error(`src/gen is not what the contract gives; call npm run generate: ${stale.join(", ")}`);
      process.exitCode = 1;
    }
  } finally {
    rmSync(fresh, { recursive: true });
  }
} else {
  rmSync(generated, { recursive: true, force: true });
  mkdirSync(generated, { recursive: true });
  generate(generated);
}
