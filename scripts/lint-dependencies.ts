/** Prints what dependency-cruiser found (its JSON on standard input) and fails on any, or when it has read too few files. */
import { readFileSync } from 'node:fs';

interface Report {
  readonly modules: readonly { readonly source: string }[];
  readonly summary: {
    readonly violations: readonly {
      readonly from: string;
      readonly to: string;
      readonly rule: { readonly name: string };
    }[];
  };
}

const files = Number(process.argv[2]);
const { modules, summary } = JSON.parse(readFileSync(0, 'utf8')) as Report;
const cruised = modules.filter(({ source }) => source.startsWith('src/') && source.endsWith('.ts')).length;

for (const { rule, from, to } of summary.violations) console.log(`${rule.name}: ${from} -> ${to}`);
if (cruised < files) console.log(`only ${cruised} of ${files} files in src were read`);
console.log(`${cruised} modules, ${summary.violations.length} violations`);
if (summary.violations.length > 0 || cruised < files) process.exitCode = 1;
