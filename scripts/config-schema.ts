/**
 * deploy/config.schema.json out of the table of settings: editors check a configuration file with it.
 * `node scripts/config-schema.ts` writes it; a test fails while it is not what this makes of the table.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileSchema } from '../src/config/effective.ts';

export const configSchema = join(import.meta.dirname, '../deploy/config.schema.json');

export function makeConfigSchema(): string {
  return `${JSON.stringify(fileSchema(), null, 2)}\n`;
}

if (import.meta.main) writeFileSync(configSchema, makeConfigSchema());
