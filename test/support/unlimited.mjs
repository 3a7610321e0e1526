/**
 * Flags without which a server holds one key to what one site sends: a load generator is a thousand
 * sites. The buckets stay in the way, at a rate that is never reached, so that their cost is measured.
 */
export const UNLIMITED = ['key', 'tenant', 'server'].flatMap((level) => [
  `--${level}-requests-per-second`,
  '1000000',
  `--${level}-mib-per-second`,
  '1000000',
])
