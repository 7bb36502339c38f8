/** Prints what dependency-cruiser found (its JSON report) and fails on any, or when it has read too few files. */
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

const [, , report = '', files = '0'] = process.argv;
const { modules, summary } = JSON.parse(readFileSync(report, 'utf8')) as Report;
const cruised = modules.filter(({ source }) => source.startsWith('src/') && source.endsWith('.ts')).length;

for (const { rule, from, to } of summary.violations) console.log(`${rule.name}: ${from} -> ${to}`);
if (cruised < Number(files)) console.log(`only ${cruised} of ${files} files in src were read`);
console.log(`${cruised} modules, ${summary.violations.length} violations`);
if (summary.violations.length > 0 || cruised < Number(files)) process.exitCode = 1;
