import { nodeFiles } from '../kit/files.ts'
import { MemoryObjectStore } from './memory-object-store.ts'
import { objectStoreContract } from './object-store.contract.ts'

objectStoreContract('memory', (folder) => new MemoryObjectStore(nodeFiles, folder, 'lake-test'))
