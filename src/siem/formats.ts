/** What security tools read; the values of `--format`. */
export const siemFormats = ['ocsf', 'ecs', 'sigma'] as const;
export type SiemFormat = (typeof siemFormats)[number];
