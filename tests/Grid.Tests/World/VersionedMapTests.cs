using System.Collections.Immutable;
using FsCheck.Fluent;
using Grid.World;

namespace Grid.Tests.World;

public sealed class VersionedMapTests
{
    [Fact]
    public void Every_version_stays_what_an_immutable_dictionary_would_be() => Law.Holds(
        // Each step writes to any version that there is, so that futures part and old versions are written to again.
        from steps in Gen.ListOf(
            from place in Gen.Choose(0, 1000)
            from items in Gen.ListOf(from key in Gen.Choose(0, 12) from value in Gen.Choose(0, 1000) select KeyValuePair.Create(key, value))
            from newest in Gen.Elements(true, true, true, false)
            select (place, newest, items))
        select steps,
        steps =>
        {
            var versions = new List<(VersionedMap<int, int> Map, ImmutableDictionary<int, int> Model)> { (VersionedMap<int, int>.Empty, ImmutableDictionary<int, int>.Empty) };
            foreach (var (place, newest, items) in steps)
            {
                var (map, model) = versions[newest ? ^1 : place % versions.Count];
                versions.Add(items is [var (key, value)] ? (map.SetItem(key, value), model.SetItem(key, value)) : (map.SetItems(items), items.Aggregate(model, (m, i) => m.SetItem(i.Key, i.Value))));
            }
            return versions.All(v => v.Map.OrderBy(i => i.Key).SequenceEqual(v.Model.OrderBy(i => i.Key))
                && Enumerable.Range(0, 13).All(k => v.Map.TryGetValue(k, out var found) ? v.Model.TryGetValue(k, out var expected) && found == expected : !v.Model.ContainsKey(k)));
        });

    [Fact]
    public async Task A_version_can_be_read_while_newer_ones_are_written()
    {
        const int Keys = 5000;
        var map = VersionedMap<int, int>.Empty;
        var reader = Task.Run(() =>
        {
            for (var size = 0; size < Keys;)
            {
                var now = Volatile.Read(ref map);
                size = now.Count();
                // Version n holds the keys below n, each with its own double, and not one of those that are written meanwhile.
                if (now.Any(i => i.Key >= size || i.Value != 2 * i.Key) || now.ContainsKey(size))
                    return size;
            }
            return 0;
        }, TestContext.Current.CancellationToken);
        for (var key = 0; key < Keys; key++)
            Volatile.Write(ref map, map.SetItem(key, 2 * key));
        Assert.Equal(0, await reader);
    }

    [Fact]
    public void Who_writes_to_the_empty_map_shares_nothing()
    {
        var (one, two) = (VersionedMap<string, int>.Empty.SetItem("a", 1), VersionedMap<string, int>.Empty.SetItem("b", 2));
        Assert.Equal((true, false), (one.ContainsKey("a"), one.ContainsKey("b")));
        Assert.Equal(2, two["b"]);
        Assert.Throws<KeyNotFoundException>(() => two["a"]);
        Assert.Empty(VersionedMap<string, int>.Empty);
    }
}
