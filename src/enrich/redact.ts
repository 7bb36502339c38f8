import type { SecretTriggers } from '../kernel/record-writer.ts';
import { hidden, type SecretPattern } from '../secret-pattern.ts';
import {
  type ProgramRule,
  programRules,
  secretOption,
  secretValue,
  textRules,
  wholeAssignment,
} from './secret-rules.ts';
import { maySecretsBeInText, secretTriggers } from './secret-triggers.ts';

export interface RedactionOptions {
  /** Whether the rules of secret-rules.ts apply. */
  readonly defaults: boolean;
  /** Applied behind them, to each text and each argument alone. */
  readonly patterns: readonly SecretPattern[];
}

export interface RedactedArgs {
  /** As many as before. */
  readonly args: string[];
  /** How many of them are not what they were. */
  readonly redacted: number;
}

/**
 * Puts `***` in place of what looks like a secret, in what processes were given. What is hidden, and what cannot be:
 * docs/redaction.md.
 */
export class Redactor {
  readonly #defaults: boolean;
  readonly #patterns: readonly SecretPattern[];

  constructor({ defaults, patterns }: RedactionOptions) {
    this.#defaults = defaults;
    this.#patterns = patterns;
  }

  /** Without them in a text the default rules hide nothing in it, and nearly all texts have none; undefined without rules. */
  get triggers(): SecretTriggers | undefined {
    return this.#defaults ? secretTriggers : undefined;
  }

  get hasPatterns(): boolean {
    return this.#patterns.length > 0;
  }

  /** Whether a pattern hides something in one of the texts. */
  concerns(texts: readonly string[]): boolean {
    return this.#patterns.some((pattern) => texts.some((text) => pattern.test(text)));
  }

  /** A path, or another text that stands alone. */
  text(text: string): string {
    return this.#byPatterns(this.#defaults ? byTextRules(text) : text);
  }

  args(args: readonly string[]): RedactedArgs {
    const shown = (this.#defaults ? byRules(args) : args).map((text) => this.#byPatterns(text));
    return { args: shown, redacted: shown.filter((text, at) => text !== args[at]).length };
  }

  /** Variables by name: one whose name says that it holds a secret is hidden as a whole. */
  environment(variables: Readonly<Record<string, string>>): Record<string, string> {
    const shown = (name: string, value: string) => {
      const [assignment = ''] = this.args([`${name}=${value}`]).args;
      return assignment.startsWith(`${name}=`) ? assignment.slice(name.length + 1) : hidden;
    };
    return Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, shown(name, value)]));
  }

  #byPatterns(text: string): string {
    return this.#patterns.reduce((rest, pattern) => (pattern.test(rest) ? pattern.hide(rest) : rest), text);
  }
}

function byTextRules(text: string): string {
  if (!maySecretsBeInText(text)) return text;
  return textRules.reduce((rest, { pattern, replacement }) => rest.replace(pattern, replacement), text);
}

function byRules(args: readonly string[]): readonly string[] {
  if (!args.some(maySecretsBeInText)) return args;
  const words = new Words();
  return args.map((argument, at) => {
    // `sh -c 'PGPASSWORD=x psql db'`: a command line. `env 'PGPASSWORD=x y' psql`: a value with a blank in it.
    const isCommandLine = /\s/.test(argument) && /^-[A-Za-z]*c$/.test(args[at - 1] ?? '');
    const shown = isCommandLine ? argument : words.next(argument);
    return shown === argument ? byWords(byTextRules(argument)) : shown;
  });
}

/** What the rules for arguments say of the words of a command line, if it is one. */
function byWords(text: string): string {
  if (!/\s/.test(text)) return text;
  let words = new Words();
  return text
    .split(/([\s;|&()<>"'`]+)/)
    .map((part, at) => {
      const separates = at % 2 === 1;
      // Another command begins.
      if (separates && /[;|&()\n`]/.test(part)) words = new Words();
      return separates ? part : words.next(part);
    })
    .join('');
}

/** Goes through arguments with the rules for which one is not enough. */
class Words {
  #last = '';
  #program: ProgramRule | undefined;
  /** What stays of the value that the argument before announced, as group 1. */
  #awaited: RegExp | undefined;

  next(word: string): string {
    if (word === '') return word;
    const shown = this.#shown(word);
    this.#last = word;
    return shown;
  }

  #shown(word: string): string {
    const awaited = this.#awaited;
    this.#awaited = undefined;
    const option = word.startsWith('-');
    if (awaited !== undefined && !option) return behind(awaited, word);

    if (!option) this.#program = this.#programAt(word) ?? this.#program;
    const program = this.#program;
    if (secretOption.test(word)) this.#awaited = secretValue;
    else if (program?.option?.test(word)) this.#awaited = program.value ?? all;
    else if (program?.argument?.test(word)) return behind(program.argument, word);
    return behind(wholeAssignment, word);
  }

  /** Not what a long option names: `docker run --name mysql -p3306:3306`. */
  #programAt(word: string): ProgramRule | undefined {
    if (/^--./.test(this.#last) && !this.#last.includes('=')) return undefined;
    const name = word.slice(word.lastIndexOf('/') + 1);
    return programRules.find(({ program }) => program.test(name));
  }
}

/** All of a value. */
const all = /^()/;

/** Hides what follows group 1 of the rule; the word as it is when the rule does not match, or nothing follows. */
function behind(rule: RegExp, word: string): string {
  const kept = rule.exec(word)?.[1];
  return kept === undefined || kept.length === word.length ? word : kept + hidden;
}
