const SLOTS = 16_384;
const POLYNOMIAL = 0x1021;

/** The slot of a key in a Redis Cluster: CRC-16/XMODEM of what is in its first braces, or of all of it. */
export function slotOf(key: string): number {
  const tag = /\{([^}]+)\}/.exec(key);
  // Empty braces are none; and only the first count.
  const hashed = tag && key.indexOf('{') === tag.index ? (tag[1] ?? '') : key;
  let crc = 0;
  for (const byte of Buffer.from(hashed)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000 ? (crc << 1) ^ POLYNOMIAL : crc << 1) & 0xffff;
  }
  return crc % SLOTS;
}
