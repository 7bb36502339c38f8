/** As src/terminal.ts does it; a test holds them together. */

const deceptive = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]|(?! )\p{Zs}/gu;

const shortEscapes = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function escapeCharacter(character) {
  const short = shortEscapes[character];
  if (short !== undefined) return short;
  const code = character.codePointAt(0);
  if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`;
  return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, '0')}`;
}

/** Text that a process chose, with everything visible that moves, hides or turns text around. */
export function escapeText(text) {
  return text.replace(deceptive, escapeCharacter);
}

/** One argument so that its borders and its content are clear: in double quotes escapes are in force. */
export function escapeArgument(argument) {
  const escaped = escapeText(argument);
  if (escaped === argument && argument !== '' && !/[ "'`\\]/.test(argument) && !argument.startsWith('…'))
    return argument;
  return `"${escapeText(argument.replace(/["\\]/g, '\\$&'))}"`;
}
