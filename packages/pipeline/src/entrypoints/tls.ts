/**
 * The certificate of a server that speaks TLS itself, read again when its files change.
 *
 * Renewal programs replace two files one after the other, so for a moment they do not fit: what does
 * not load is said and the old pair stays, until the files change again. Connections that are open keep
 * the certificate they began with.
 */
import { readFileSync, unwatchFile, watchFile } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { MillraceError } from '../kit/errors.ts'

export interface CertificateFiles {
  readonly cert: string
  readonly key: string
}

export interface Certificate {
  readonly cert: Buffer
  readonly key: Buffer
  readonly minVersion: 'TLSv1.2'
}

/** A renewal has days; a look at two files costs nothing. */
const LOOK_EVERY_MS = 5_000

export function readCertificate(files: CertificateFiles): Certificate {
  try {
    const certificate = {
      cert: readFileSync(files.cert),
      key: readFileSync(files.key),
      minVersion: 'TLSv1.2',
    } as const
    createSecureContext(certificate)
    return certificate
  } catch (error) {
    throw new MillraceError(
      'bad_config',
      `no certificate from ${files.cert} and ${files.key}: ${(error as Error).message}`,
      { cause: error, hint: 'PEM files: the certificate with its chain, and its private key.' },
    )
  }
}

/** Calls `renewed` for each pair that loads; gives the end of it. */
export function watchCertificate(
  files: CertificateFiles,
  renewed: (certificate: Certificate) => void,
  warn: (error: unknown) => void,
  lookEveryMs = LOOK_EVERY_MS,
): () => void {
  const look = () => {
    try {
      renewed(readCertificate(files))
    } catch (error) {
      warn(error)
    }
  }
  const paths = [...new Set([files.cert, files.key])]
  for (const path of paths) watchFile(path, { interval: lookEveryMs, persistent: false }, look)
  return () => {
    for (const path of paths) unwatchFile(path, look)
  }
}
