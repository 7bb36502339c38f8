/**
 * Whether a document meets a rule's conditions: as much of Sigma's language as rules for the start of a process use.
 * github.com/SigmaHQ/sigma-specification, sigma-rules-specification.md and sigma-appendix-modifiers.md, 2.1.0.
 */

type Document = Readonly<Record<string, unknown>>;
type Scalar = string | number | null;
type Search = Readonly<Record<string, Scalar | readonly Scalar[]>>;

/** Named searches and, under `condition`, how they are put together. */
export type Detection = Readonly<Record<string, Search | readonly Search[] | string>>;

export function matches({ condition, ...searches }: Detection, document: Document): boolean {
  const results = new Map(
    Object.entries(searches).map(([name, search]) => [
      name,
      [search as Search | readonly Search[]].flat().some((each) => meets(each, document)),
    ]),
  );
  return new Condition(condition as string, results).evaluate();
}

/** Every field of a search must match, with one of its values, or with all when it says so. */
function meets(search: Search, document: Document): boolean {
  return Object.entries(search).every(([key, given]) => {
    const [field = '', ...modifiers] = key.split('|');
    const test = testOf(modifiers.filter((modifier) => modifier !== 'all'));
    const values = [given].flat();
    const holds = (value: Scalar) => test(document[field], value);
    return modifiers.includes('all') ? values.every(holds) : values.some(holds);
  });
}

function testOf(modifiers: readonly string[]): (actual: unknown, value: Scalar) => boolean {
  const [modifier, ...more] = modifiers;
  if (more.length > 0) throw new Error(`two modifiers: ${modifiers.join('|')}`);
  const around = { undefined: ['', ''], contains: ['*', '*'], startswith: ['', '*'], endswith: ['*', ''] }[
    `${modifier}`
  ];
  if (modifier === 're') return (actual, value) => actual !== undefined && new RegExp(`${value}`).test(`${actual}`);
  if (around === undefined) throw new Error(`the modifier ${modifier} is not known`);
  return (actual, value) => {
    if (value === null || actual === undefined) return value === null && actual === undefined;
    // A number is a number: rules that compare one with text would miss it in many backends.
    if (typeof value === 'number') return actual === value;
    return typeof actual === 'string' && wildcard(`${around[0]}${value}${around[1]}`).test(actual);
  };
}

/** * and ? stand for any text and any character; a backslash before them takes that away. Case does not matter. */
function wildcard(pattern: string): RegExp {
  const source = pattern.replace(/\\[*?\\]|[*?]|[\\^$.|+()[\]{}]/g, (found) => {
    if (found === '*') return '[^]*';
    if (found === '?') return '[^]';
    return found.length === 2 ? `\\${found[1]}` : `\\${found}`;
  });
  return new RegExp(`^${source}$`, 'i');
}

/** or, and, not, brackets, `1 of NAME*`, `all of NAME*`, `1 of them`; not binds the most, or the least. */
class Condition {
  readonly #words: string[];
  readonly #results: ReadonlyMap<string, boolean>;

  constructor(text: string, results: ReadonlyMap<string, boolean>) {
    this.#words = text.match(/[()]|[^\s()]+/g) ?? [];
    this.#results = results;
  }

  evaluate(): boolean {
    const result = this.#or();
    if (this.#words.length > 0) throw new Error(`left over: ${this.#words.join(' ')}`);
    return result;
  }

  #or(): boolean {
    let result = this.#and();
    while (this.#take('or')) result = this.#and() || result;
    return result;
  }

  #and(): boolean {
    let result = this.#not();
    while (this.#take('and')) result = this.#not() && result;
    return result;
  }

  #not(): boolean {
    if (this.#take('not')) return !this.#not();
    if (this.#take('(')) {
      const result = this.#or();
      if (!this.#take(')')) throw new Error('a bracket is not closed');
      return result;
    }
    const word = this.#words.shift();
    if ((word === '1' || word === 'all') && this.#take('of')) {
      const results = this.#named(this.#words.shift() ?? '');
      return word === '1' ? results.includes(true) : !results.includes(false);
    }
    const result = this.#results.get(word ?? '');
    if (result === undefined) throw new Error(`there is no search ${word}`);
    return result;
  }

  #named(pattern: string): boolean[] {
    const name = wildcard(pattern === 'them' ? '*' : pattern);
    const results = [...this.#results].filter(([search]) => name.test(search)).map(([, result]) => result);
    if (results.length === 0) throw new Error(`no search is called ${pattern}`);
    return results;
  }

  #take(word: string): boolean {
    if (this.#words[0] !== word) return false;
    this.#words.shift();
    return true;
  }
}
