/** What is published: the files, the code that was generated, and the README, whose programs run and print what it says. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { onTestFinished } from "vitest";

import { Server } from "./support/server.js";

const HOME = fileURLToPath(new URL("..", import.meta.url));
const BLOCK = /^```(\w*)\n(.*?)^```$/gms;

test("has what is built, and nothing else", () => {
  const said = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
    cwd: HOME,
    encoding: "utf8",
  });
  const [{ files }] = JSON.parse(said) as [{ files: { path: string }[] }];
  const paths = files.map(({ path }) => path);
  expect(paths.filter((path) => !path.startsWith("dist/")).sort()).toEqual(["LICENSE", "README.md", "package.json"]);
  expect(paths.filter((path) => path.startsWith("dist/") && !/\.(?:js|d\.ts)$/.test(path))).toEqual([]);
  const { exports } = JSON.parse(readFileSync(join(HOME, "package.json"), "utf8")) as {
    exports: Record<string, unknown>;
  };
  const named = JSON.stringify(exports).match(/dist[^"]*/g) ?? [];
  expect(named.length).toBeGreaterThan(4);
  for (const path of named) expect(paths).toContain(path);
});

test("has types that need nothing but Node.js's", () => {
  const types = ["index", "client", "portable/index"].map((name) => join("dist", `${name}.d.ts`));
  const options = ["--noEmit", "--strict", "--skipLibCheck", "false", "--lib", "ES2023", "--types", "node"];
  const target = ["--module", "NodeNext", "--target", "ES2022"];
  execFileSync(join("node_modules", ".bin", "tsc"), [...options, ...target, ...types], { cwd: HOME, stdio: "inherit" });
});

test("has no download addresses in its lock file", () => {
  expect(readFileSync(join(HOME, "package-lock.json"), "utf8")).not.toMatch(/"resolved"|https?:\/\/[^"]*\.tgz/);
});

test("has code that is generated from the contract as it is", () => {
  execFileSync(process.execPath, ["scripts/generate.mjs", "--check"], {
    cwd: HOME,
    stdio: ["ignore", "inherit", "pipe"],
  });
});

test("has programs in its README that print what it says", async () => {
  // A server of its own: the README's tenant is the default one.
  const server = await Server.start();
  onTestFinished(() => server.stop());
  // In the package, so that its name leads to it.
  const home = join(HOME, "test", "readme");
  mkdirSync(home, { recursive: true });
  onTestFinished(() => rmSync(home, { recursive: true, force: true }));

  const blocks = [...readFileSync(join(HOME, "README.md"), "utf8").matchAll(BLOCK)].map(
    ([, language = "", text = ""]) => [language, text] as const,
  );
  const printed: string[] = [];
  for (const [place, [language, text]] of blocks.entries()) {
    if (language !== "js") continue;
    const file = join(home, "order.mjs");
    writeFileSync(file, text.replaceAll("127.0.0.1:50051", server.address));
    const run = (args: string[]) =>
      execFileSync(process.execPath, [file, ...args], { encoding: "utf8", timeout: 60_000 });
    const next = blocks[place + 1] ?? ["", ""];
    const calls =
      next[0] === "sh"
        ? next[1]
            .trim()
            .split("\n")
            .map((line) => line.split(" ").slice(2))
        : [[]];
    const said = next[0] === "sh" ? blocks[place + 2] : next;
    expect(calls.map(run).join("")).toBe(said?.[1]);
    printed.push(said?.[1] ?? "");
  }
  expect(printed).toHaveLength(3);
});
