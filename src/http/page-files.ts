import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** The files of the live page, by the path that a browser asks for. They are what is in `page/`, and uPlot; nothing is built. */

export interface PageFile {
  readonly type: string;
  /** Read at the first request. */
  content(): Buffer;
}

const types = { html: 'text/html', css: 'text/css', js: 'text/javascript', svg: 'image/svg+xml' } as const;

const resolve = createRequire(import.meta.url).resolve;

function fileOf(path: string | URL, extension: keyof typeof types): PageFile {
  let content: Buffer | undefined;
  return { type: `${types[extension]}; charset=utf-8`, content: () => (content ??= readFileSync(path)) };
}

const own = [
  'page.css',
  'page.js',
  'dom.js',
  'escape.js',
  'execs.js',
  'leaderboard.js',
  'rates.js',
  'status.js',
  'icon.svg',
] as const;

const pageFile = (name: string) => new URL(`page/${name}`, import.meta.url);

export const pageFiles: ReadonlyMap<string, PageFile> = new Map([
  ['/', fileOf(pageFile('index.html'), 'html')],
  ...own.map((name) => [`/page/${name}`, fileOf(pageFile(name), name.split('.')[1] as keyof typeof types)] as const),
  ['/page/uplot.js', fileOf(resolve('uplot/dist/uPlot.iife.min.js'), 'js')],
  ['/page/uplot.css', fileOf(resolve('uplot/dist/uPlot.min.css'), 'css')],
]);

/** Only what this server serves, no markup made of text, in no frame. */
export const pagePolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');
