import { LRUCache } from 'lru-cache'

/**
 * Remembers so many entries, those that were used last. Takes memory for what is in it, where `LRUCache` with `max` takes it for as many as
 * there may be, at once: 28 bytes for each.
 */
export function recent<K extends {}, V extends {}>(max: number): LRUCache<K, V> {
  return new LRUCache<K, V>({ maxSize: max, sizeCalculation: () => 1 })
}
