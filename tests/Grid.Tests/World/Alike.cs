using System.Collections;
using Grid.Agreements;
using Grid.Units;

namespace Grid.Tests.World;

/// <summary>Two agreements compared part by part: sets and arrays in records are equal by reference only.</summary>
internal static class Alike
{
    public static void Same(Agreement expected, Agreement actual)
    {
        Assert.Equal(expected.GetType(), actual.GetType());
        foreach (var property in expected.GetType().GetProperties())
            Same(property.GetValue(expected), property.GetValue(actual));
    }

    private static void Same(object? expected, object? actual)
    {
        if (expected is Amendment)
        {
            Assert.Equal(expected.GetType(), actual?.GetType());
            foreach (var property in expected.GetType().GetProperties())
                Same(property.GetValue(expected), property.GetValue(actual));
            return;
        }
        if (expected is FarmPart part)
        {
            var other = Assert.IsType<FarmPart>(actual);
            Assert.Equal((part.Farm, part.Offer), (other.Farm, other.Offer));
            Assert.Equal(part.Nodes.AsEnumerable(), other.Nodes);
            return;
        }
        if (expected is IEnumerable many and not string)
        {
            var (left, right) = (many.Cast<object>().ToList(), Assert.IsAssignableFrom<IEnumerable>(actual).Cast<object>().ToList());
            Assert.Equal(left.Count, right.Count);
            if (left.FirstOrDefault() is NodeId or FarmId)
                Assert.Equal(left.ToHashSet(), right.ToHashSet());
            else
                Assert.All(left.Zip(right), pair => Same(pair.First, pair.Second));
            return;
        }
        Assert.Equal(expected, actual);
    }
}
