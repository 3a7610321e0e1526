/** Listens to the shop in the frame: only this origin and only that window may speak. */
import { type MutableRef, useEffect, useState } from 'preact/hooks'
import {
  parseShopMessage,
  type ShopDocument,
  type ShopMessage,
  withMessage,
} from './shop-account.ts'

export interface Shop {
  readonly documents: readonly ShopDocument[]
  readonly last: ShopMessage | undefined
}

export function useShop(frame: MutableRef<HTMLIFrameElement | null>): Shop {
  const [shop, setShop] = useState<Shop>({ documents: [], last: undefined })
  useEffect(() => {
    const listen = (event: MessageEvent<unknown>): void => {
      if (event.origin !== location.origin || event.source !== frame.current?.contentWindow) return
      const message = parseShopMessage(event.data)
      if (message === undefined) return
      setShop(({ documents }) => ({ documents: withMessage(documents, message), last: message }))
    }
    addEventListener('message', listen)
    return () => removeEventListener('message', listen)
  }, [frame])
  return shop
}
