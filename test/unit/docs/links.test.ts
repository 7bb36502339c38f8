import { execFileSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';
import { codeSpansIn, documents, proseOf, root, textOf } from '../../support/documents.ts';

/** What the documents point at is there: pages, headings, files and functions. */

const sources = globSync(['bpf/**/*.{h,c}', 'native/*.{h,cpp}', 'src/**/*.ts', 'scripts/**/*.{ts,sh}'], { cwd: root });
const sourceText = sources.map(textOf).join('\n');

/** As GitHub makes it of a heading. */
function anchorOf(heading: string): string {
  return heading
    .replace(/`/g, '')
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/ /g, '-');
}

function anchorsIn(path: string): string[] {
  return [...proseOf(textOf(path)).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) => anchorOf(heading));
}

test.each(documents)('%s links to what is there', (document) => {
  const links = [...proseOf(textOf(document)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
  const broken = links.filter((link) => {
    if (/^https?:/.test(link)) return false;
    const [path = '', anchor] = link.split('#');
    const target = path === '' ? document : normalize(join(dirname(document), path));
    if (!existsSync(join(root, target))) return true;
    return anchor !== undefined && !anchorsIn(target).includes(anchor);
  });
  expect(broken).toEqual([]);
});

test('docs/README.md leads to every page', () => {
  const contents = textOf('docs/README.md');
  const pages = documents.filter((path) => /^docs\/[^/]+$/.test(path) && path !== 'docs/README.md');
  const missing = pages.filter((path) => !contents.includes(`](${path.slice('docs/'.length)})`));
  expect(missing).toEqual([]);
});

describe('files and functions that are named', () => {
  const files = new Set(execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' }).split('\n'));
  const names = new Set([...files].map((path) => basename(path)));
  /** Of libraries. */
  const foreign = new Set(['uv.h']);
  /** Directories of the repository: a name that begins with one of them is a path in it. */
  const rooms = new Set([...files].filter((path) => path.includes('/')).map((path) => path.split('/')[0]));

  function isThere(span: string): boolean {
    const path = span.replace(/\/$/, '');
    if (rooms.has(path.split('/')[0])) return existsSync(join(root, path)) || globSync(path, { cwd: root }).length > 0;
    return names.has(path) || foreign.has(path);
  }

  test.each(documents)('%s', (document) => {
    const spans = codeSpansIn(textOf(document));
    const paths = spans.filter((span) => /^[\w.*-]+(\/[\w.*-]+)*\/?$/.test(span));
    const named = paths.filter((span) =>
      span.includes('/') ? rooms.has(span.split('/')[0]) : /^[\w-]+(\.\w+)*\.(ts|h|c|cpp|sh|avsc)$/.test(span),
    );
    expect(named.filter((span) => !isThere(span))).toEqual([]);

    // `advance_epoch()`, `Capture::advance_epoch()`, `Delivery.accept()`
    const functions = spans.flatMap((span) => /^(?:(\w+)(?:::|\.))?(\w+)\(\)$/.exec(span)?.slice(1) ?? []);
    const unknown = functions.filter((name) => name !== undefined && !new RegExp(`\\b${name}\\b`).test(sourceText));
    expect(unknown).toEqual([]);
  });
});
