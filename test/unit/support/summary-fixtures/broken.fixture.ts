import { test } from 'vitest';

test('is never found', () => {});

throw new Error('does not load');
