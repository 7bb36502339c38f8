import type { RunConfig } from '../config/types.ts';
import { reasonOf } from '../errors.ts';
import { type ExecFilters, linksAmong, ruleNames } from '../exec-filters.ts';
import type { Log } from '../log.ts';

export interface ReloadOptions {
  /** The settings that hold now. */
  readonly config: RunConfig;
  /** Reads the settings again. Fails with ERR_CONFIG. */
  readonly reread: () => RunConfig;
  /** Puts the rules for execs in force, all of them or, when it rejects, none. */
  readonly exclude: (filters: ExecFilters) => Promise<void>;
  readonly log: Log;
}

/**
 * Takes SIGHUP until it is disposed: reads the settings again and replaces the rules for execs, which are all that can
 * change while it captures. One at a time; signals that come meanwhile are one more.
 */
export function reloadOnHangup(options: ReloadOptions): Disposable {
  let { config } = options;
  let wanted = false;
  let running = false;
  const receive = async () => {
    wanted = true;
    if (running) return;
    running = true;
    while (wanted) {
      wanted = false;
      config = await reload({ ...options, config });
    }
    running = false;
  };
  process.on('SIGHUP', receive);
  return {
    [Symbol.dispose]() {
      process.off('SIGHUP', receive);
    },
  };
}

/** @returns the settings that hold from now on */
async function reload({ config, reread, exclude, log }: ReloadOptions): Promise<RunConfig> {
  try {
    const { execFilters, configHash: _, ...others } = reread();
    warnOfOthers(config, others, log);
    const before = ruleNames(config.execFilters);
    const now = ruleNames(execFilters);
    const added = now.filter((name) => !before.includes(name));
    const removed = before.filter((name) => !now.includes(name));
    if (added.length + removed.length === 0) {
      log.info({ rules: now.length }, 'read the settings again: the rules for execs are as they were');
      return config;
    }
    await exclude(execFilters);
    log.info({ added, removed, rules: now.length }, 'read the settings again: the rules for execs are replaced');
    warnOfLinks(execFilters, log);
    return { ...config, execFilters };
  } catch (error) {
    log.error({ reason: reasonOf(error) }, 'cannot replace the rules for execs: the old ones stay in force');
    return config;
  }
}

function warnOfOthers(config: RunConfig, others: Omit<RunConfig, 'execFilters' | 'configHash'>, log: Log): void {
  // As text: a pattern is compiled anew each time.
  const settings = (Object.keys(others) as (keyof typeof others)[]).filter(
    (name) => JSON.stringify(others[name]) !== JSON.stringify(config[name]),
  );
  if (settings.length > 0) log.warn({ settings }, 'these settings have changed too, and hold from the next start on');
}

/** Of rules that keep nothing out, for a reason that is easily overlooked. */
export function warnOfLinks(filters: ExecFilters, log: Log): void {
  for (const { exe, leadsTo } of linksAmong(filters)) {
    log.warn({ exe, leadsTo }, '--exclude-exe names a link: what runs, and what a rule is compared with, is the file');
  }
}
