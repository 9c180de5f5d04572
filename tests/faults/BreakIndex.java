import de.bwaldvogel.mongo.backend.KeyValue;
import org.h2.mvstore.MVMap;
import org.h2.mvstore.MVStore;

/** Does to a data file what a commit of half a command did. Arguments: the file, and a database with "records". */
public final class BreakIndex {
    public static void main(String[] arguments) {
        try (MVStore store = MVStore.open(arguments[0])) {
            MVMap<KeyValue, Object> index = store.openMap(arguments[1] + ".records._index__id_");
            if (index.remove(new KeyValue("a")) == null) {
                throw new IllegalStateException("there is no such document");
            }
            index.put(new KeyValue("gone"), "gone");
            store.removeMap("written-by-whole-commands");
        }
    }
}
