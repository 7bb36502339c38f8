import { describe, expect, test } from 'vitest';
import { LruCache } from '../../../src/enrich/lru-cache.ts';

describe('LruCache', () => {
  test('drops what was not asked for the longest when it has too many entries', () => {
    const cache = new LruCache<string, string>({ entries: 2 });
    cache.set('a', '1');
    cache.set('b', '2');
    expect(cache.get('a')).toBe('1');
    cache.set('c', '3');
    expect([cache.get('a'), cache.get('b'), cache.get('c')]).toEqual(['1', undefined, '3']);
    expect(cache.size).toBe(2);
  });

  test('drops as many as it takes to stay within the bytes', () => {
    const cache = new LruCache<string, string>({ entries: 10, bytes: 10, bytesOf: (value) => value.length });
    cache.set('a', '1234');
    cache.set('b', '1234');
    cache.set('c', '123456');
    expect([cache.get('a'), cache.get('b'), cache.get('c')]).toEqual([undefined, '1234', '123456']);
    expect(cache.bytes).toBe(10);
  });

  test('counts a replaced value once, and keeps no value that alone is over the bound', () => {
    const cache = new LruCache<string, string>({ entries: 10, bytes: 10, bytesOf: (value) => value.length });
    cache.set('a', '12345678');
    cache.set('a', '12');
    expect(cache.bytes).toBe(2);
    cache.set('b', '12345678901');
    expect([cache.get('a'), cache.get('b'), cache.bytes]).toEqual(['12', undefined, 2]);
  });
});
