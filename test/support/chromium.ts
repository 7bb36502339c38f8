import { spawnSync } from 'node:child_process';
import { type Browser, chromium } from 'playwright-core';

/** The distribution's browser, headless; or why there is none. */
export async function launchChromium(): Promise<Browser | { readonly reason: string }> {
  const program = ['chromium', 'google-chrome', 'chromium-browser'].map(pathOf).find((path) => path !== '');
  if (program === undefined) return { reason: 'chromium is not here; `sh scripts/chromium.sh` installs it' };
  try {
    return await chromium.launch({ executablePath: program });
  } catch (error) {
    return { reason: `${program} does not start: ${String(error).split('\n')[0]}` };
  }
}

function pathOf(name: string): string {
  return spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).stdout.trim();
}
