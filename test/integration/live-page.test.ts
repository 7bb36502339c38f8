import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { launchChromium } from '../support/chromium.ts';
import { MadeUpPage, pageToken } from '../support/live-page.ts';
import { waitFor } from '../support/wait-for.ts';
import { figures, health } from '../unit/live/parts.ts';

let browser: Browser | { readonly reason: string };
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(async () => {
  if ('close' in browser) await browser.close();
});
beforeEach(({ skip }) => {
  skip('reason' in browser, 'reason' in browser ? browser.reason : '');
});

/** A tab, and everything about it that should not happen. */
class Tab implements AsyncDisposable {
  readonly page: Page;
  /** Errors on the console, exceptions, dialogs, and requests to anybody else. */
  readonly wrong: string[] = [];

  private constructor(page: Page, origin: string) {
    this.page = page;
    page.on('console', (message) => message.type() === 'error' && this.wrong.push(message.text()));
    page.on('pageerror', (error) => this.wrong.push(String(error)));
    page.on('dialog', (dialog) => this.wrong.push(`dialog: ${dialog.message()}`));
    page.on('request', (request) => {
      if (new URL(request.url()).origin !== origin) this.wrong.push(`request: ${request.url()}`);
    });
  }

  static async open(made: MadeUpPage, path: string, options: BrowserContextOptions = {}): Promise<Tab> {
    const context = await (browser as Browser).newContext(options);
    const tab = new Tab(await context.newPage(), made.url);
    await tab.page.goto(`${made.url}${path}`);
    return tab;
  }

  async text(selector: string): Promise<string> {
    return (await this.page.locator(selector).textContent()) ?? '';
  }

  /** Of the first row of a table. */
  cells(table: string): Promise<string[]> {
    return this.page.locator(`${table} tr:first-child td`).allTextContents();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.context().close();
  }
}

const withToken = `/?token=${pageToken}`;

describe('the live page in Chromium', () => {
  it('shows execs as text, whatever is in them', async () => {
    await using made = await MadeUpPage.start(figures, health);
    await using tab = await Tab.open(made, withToken);
    const image = '<img src=x onerror="window.ran=1">';
    const hostile = {
      comm: '<b>x</b>',
      user_name: image,
      parent_comm: '</script>',
      args: ['ls', image, 'a\u202egpj.sh'],
    };
    made.execs({ ...hostile, parent_args: ['<script>window.ran=1</script>'] });
    const row = tab.page.locator('#execs li').first();
    await row.waitFor();
    expect(await row.locator('.line').textContent()).toBe(
      'ls "<img src=x onerror=\\"window.ran=1\\">" "a\\u202egpj.sh"',
    );
    expect(await row.textContent()).toContain('<b>x</b> · <img src=x onerror="window.ran=1"> · from </script>');
    expect(await tab.page.locator('main img, main b, main script').count()).toBe(0);
    expect(await tab.page.evaluate('window.ran')).toBeUndefined();
    expect(tab.wrong).toEqual([]);
  });

  it('shows no command line without the token, and a wrong one is told', async () => {
    await using made = await MadeUpPage.start(figures, health);
    made.execs({ comm: 'mysql', args: ['mysql', 'only-with-the-token'] });
    await using tab = await Tab.open(made, '/');
    const row = tab.page.locator('#execs li').first();
    await row.waitFor();
    expect(await row.textContent()).toContain('mysql');
    expect(await tab.page.content()).not.toContain('only-with-the-token');
    expect(await tab.page.locator('#argv-note').isVisible()).toBe(true);
    expect(tab.wrong).toEqual([]);

    await using refused = await Tab.open(made, '/?token=wrong-wrong-wrong');
    expect(await refused.text('body')).toContain('the token is wrong');
  });

  it('has the leaderboard, the balance and the states', async () => {
    await using made = await MadeUpPage.start(figures, health);
    await using tab = await Tab.open(made, withToken);
    const now = Date.now();
    const before = { interval_start: now - 2_000, interval_end: now - 1_000 };
    const other = { source_port: 2, packets: 7, ...before };
    made.packets({ packets: 1_234, ...before }, other, { traffic_class: 'non_ip', packets: 3, ...before });
    made.packets({ packets: 1_000, interval_start: now - 1_000, interval_end: now });
    await tab.page.locator('#leaders tr').first().waitFor();
    const leader = ['198.51.100.7:51022 => :443', '2,234', '1,000'];
    await waitFor(async () => (await tab.cells('#leaders')).join() === leader.join(), { what: 'both counts' });
    expect(await tab.page.locator('#leaders tr').count()).toBe(2);
    expect(await tab.text('#interfaces')).toContain('non_ip 3');
    expect(await tab.text('#verdict')).toMatch(/^3 lost since \d{4}-\d\d-\d\d /);
    expect(await tab.text('#streams')).toContain('ring_full 3');
    const away = expect.stringMatching(/^retrying since \d\d:\d\d:\d\d: connect ECONNREFUSED$/);
    expect(await tab.cells('#deliveries')).toEqual(['p.exec-events', away, '80', '4', '1']);
    expect(await tab.cells('#buffers')).toEqual(['ring exec', '512 B', '4.0 KiB', '1.0 KiB']);
    expect(await tab.text('#readiness')).toBe('not ready');
    // The charts are drawn.
    expect(await tab.page.locator('.chart canvas').count()).toBe(2);
    expect(tab.wrong).toEqual([]);
  });

  it('says that nothing is lost when nothing is', async () => {
    const streams = figures.streams.map((stream) => ({ ...stream, lost: { ring_full: 0 } }));
    await using made = await MadeUpPage.start({ ...figures, streams }, { ...health, deliveries: [] });
    await using tab = await Tab.open(made, withToken);
    await waitFor(async () => (await tab.text('#verdict')).startsWith('Nothing lost since '), { what: 'the verdict' });
    expect(await tab.text('#readiness')).toBe('ready');
  });

  it('searches in the execs that it has, and holds still when it is told to', async () => {
    await using made = await MadeUpPage.start(figures, health);
    await using tab = await Tab.open(made, withToken);
    const words = (...args: string[]) => ({ comm: 'program', args });
    made.execs(words('curl', 'https://Example.org/'), words('ls', '-l'), words('curl', '-I', 'other'));
    const rows = tab.page.locator('#execs li');
    await waitFor(async () => (await rows.count()) === 3, { what: 'three execs' });
    await tab.page.fill('#search', 'example CURL');
    expect(await rows.count()).toBe(1);
    expect(await rows.textContent()).toContain('https://Example.org/');
    made.execs(words('curl', 'example'), words('wget', 'example'));
    await waitFor(async () => (await rows.count()) === 2, { what: 'one more that fits' });
    await tab.page.click('#pause');
    made.execs(words('curl', 'example', 'later'));
    await waitFor(async () => (await tab.text('#pause')) === 'go on (1 more)', { what: 'it counts what waits' });
    expect(await rows.count()).toBe(2);
    await tab.page.click('#pause');
    expect(await rows.count()).toBe(3);
    expect(tab.wrong).toEqual([]);
  });

  it.for(['light', 'dark'] as const)('fits a phone, in %s', async (colorScheme) => {
    await using made = await MadeUpPage.start(figures, health);
    const viewport = { width: 390, height: 844 };
    await using tab = await Tab.open(made, withToken, { viewport, colorScheme, isMobile: true, hasTouch: true });
    const long = 'x'.repeat(300);
    made.execs({ args: [long, 'b'], comm: 'fifteen-letters', user_name: long });
    made.packets({ source_address: '2001:db8:1111:2222:3333:4444:5555:6666', packets: 123_456_789_012 });
    await tab.page.locator('#execs li').first().waitFor();
    await tab.page.locator('#leaders tr').first().waitFor();
    const page = tab.page;
    const wide =
      '[...document.querySelectorAll("main *")].filter((e) => !e.closest(".scroll") && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 80))';
    expect(await page.evaluate(wide)).toEqual([]);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(viewport.width);
    const ground = await page.evaluate('getComputedStyle(document.body).backgroundColor');
    expect(ground).toBe(colorScheme === 'light' ? 'rgb(244, 245, 247)' : 'rgb(20, 23, 27)');
    expect(tab.wrong).toEqual([]);
  });

  it('goes on with 1,000 execs a second and 10,000 flows, and says what it leaves out', {
    timeout: 120_000,
  }, async () => {
    await using made = await MadeUpPage.start(figures, health);
    await using tab = await Tab.open(made, withToken);
    let second = 0;
    const flood = setInterval(() => {
      made.execs(...Array.from({ length: 100 }, (_, n) => ({ pid: n, args: ['flood', String(second), String(n)] })));
      made.packets(
        ...Array.from({ length: 1_000 }, (_, n) => ({ source_port: (second % 10) * 1_000 + n, packets: 1 })),
      );
      second += 1;
    }, 100);
    try {
      const seen = new Set<string>();
      await waitFor(
        async () => {
          const shown = await tab.text('#execs-shown');
          if (/^showing 200 of [\d,]+ execs this second$/.test(shown))
            seen.add(await tab.text('#execs li:first-child'));
          return seen.size >= 4;
        },
        { what: 'four seconds were shown', timeout: 60_000 },
      );
      await waitFor(async () => (await tab.text('#leaders-rest')).startsWith('showing 50 of 10,000 rows'), {
        what: 'all flows are counted',
        timeout: 60_000,
      });
      await tab.page.fill('#search', 'flood nowhere');
      expect(await tab.page.locator('#execs li').count()).toBe(0);
      expect((await fetch(`${made.url}/healthz`)).status).toBe(200);
    } finally {
      clearInterval(flood);
    }
    expect(tab.wrong).toEqual([]);
  });

  it('says when there is no connection, and goes on when there is one again', async () => {
    const made = await MadeUpPage.start(figures, health);
    await using tab = await Tab.open(made, withToken);
    await tab.page.locator('#deliveries tr').first().waitFor();
    await made[Symbol.asyncDispose]();
    await waitFor(async () => (await tab.text('#readiness')) === 'no connection', { what: 'it says so' });
    await using again = await MadeUpPage.start(figures, health, Number(new URL(made.url).port));
    again.execs({ args: ['back'] });
    await waitFor(async () => (await tab.text('#execs')).includes('back'), { what: 'it goes on', timeout: 30_000 });
    expect(await tab.text('#readiness')).toBe('not ready');
  });
});
