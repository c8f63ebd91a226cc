using System.Collections.Immutable;
using System.ComponentModel;
using System.Security.Cryptography;
using Grid.Flists.Mount;
using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Node.Machines;
using Grid.Node.Volumes.Interop;
using Grid.Reconciliation;
using Grid.Units;
using Grid.Workloads;
using Microsoft.Win32.SafeHandles;

namespace Grid.Node.Volumes;

/// <summary>How a volume comes to be there: made once, mounted ever after, grown.</summary>
public sealed partial class VolumeHost
{
    private Outcome Make(ContainerId id, Volume volume, ImmutableDictionary<WorkloadKey, Volume> promised)
    {
        var files = Locate(id, out var fault);
        if (files is null && fault is not null)
            return fault;
        if (volume.Size < Volume.Smallest)
            return new Outcome.Refused(new Refusal(RefusalCode.SizeInvalid, $"The volume '{volume.Name}' has {volume.Size}; the smallest has {Volume.Smallest}."));
        if (files is null)
            return MakeNew(id, volume, promised);
        if (Unlike(files, volume) is { } unlike)
            return new Outcome.Refused(unlike);
        switch (Observe(files, null, null))
        {
            case VolumeSighting.Partial:
                if (!File.Exists(files.Key))
                {
                    Discard(files);
                    return MakeNew(id, volume, promised);
                }
                // Whole and sealed: only its name was missing.
                File.Move(files.MakingImage, files.Image);
                files.SyncNames();
                break;
            case VolumeSighting.Wiped:
                // Its key is gone, and with it all that could be lost.
                return Destroy(files) is Outcome.Done ? MakeNew(id, volume, promised) : new Outcome.Transient($"{id} is being destroyed");
            case VolumeSighting.Lost lost:
                return new Outcome.Broken($"{id}: {lost.Why}; nothing is made in its place");
        }
        return Use(files, volume);
    }

    /// <summary>What a volume that is there cannot become, also one that is only kept: an agreement may have dropped it and want it again. What has lost its key is made anew.</summary>
    private static Refusal? Unlike(VolumeFiles files, Volume volume) =>
        files.Disk.Media != volume.Media ? new Refusal(RefusalCode.VolumeShrink, $"The volume '{volume.Name}' cannot move to another medium.", "Add a new volume and copy.")
        : !File.Exists(files.Image) ? null
        : files.Form != volume.Form ? new Refusal(RefusalCode.VolumeShrink, $"The volume '{volume.Name}' cannot change its form.", "Add a new volume and copy.")
        : File.Exists(files.Key) && LengthOf(volume.Size, volume.Form).Value < new FileInfo(files.Image).Length ? new Refusal(RefusalCode.VolumeShrink, $"The volume '{volume.Name}' has {files.Size}; it cannot shrink to {volume.Size}.")
        : null;

    private Outcome MakeNew(ContainerId id, Volume volume, ImmutableDictionary<WorkloadKey, Volume> promised)
    {
        if (!_disks.Any(d => d.Media == volume.Media))
            return new Outcome.Refused(new Refusal(RefusalCode.Capacity, $"This node has no {volume.Media} disk for volumes."));
        VolumeFiles? files = null;
        try
        {
            using var image = Take(id, volume, promised, out files);
            return image is null ? Said(Faults()) is { } said ? new Outcome.Broken(said) : new Outcome.Transient($"no {volume.Media} disk has {volume.Size} free")
                : volume.Form is VolumeForm.Disk ? MakeNewDisk(files!, image, volume.Size)
                : MakeNew(files!, image, volume.Size);
        }
        catch (Exception e) when (Effect.IsOfTheMachine(e))
        {
            // Cut short by a failure rather than a kill. With its key in place it is whole, and is finished later.
            if (files is not null && !File.Exists(files.Key))
                Discard(files);
            throw;
        }
    }

    /// <summary>Takes all the room of its image.</summary>
    /// <returns>null when there is not so much</returns>
    private SafeFileHandle? Take(ContainerId id, Volume volume, ImmutableDictionary<WorkloadKey, Volume> promised, out VolumeFiles? files)
    {
        lock (_placing)
        {
            files = Choose(id, volume, promised) is { } disk ? new VolumeFiles(disk, id) : null;
            if (files is null)
                return null;
            var image = FcntlH.Open(files.MakingImage, FcntlH.O_RDWR | FcntlH.O_CREAT | FcntlH.O_EXCL, 0b110_000_000);
            var length = LengthOf(volume.Size, volume.Form).Value;
            if (FcntlH.Allocate(image, length))
            {
                FcntlH.SetLength(image, length);
                return image;
            }
            image.Dispose();
            Discard(files);
            return null;
        }
    }

    private Outcome MakeNew(VolumeFiles files, SafeFileHandle image, Bytes size)
    {
        Ext4.Format(files.MakingImage, files.Id);
        // mke2fs may have given blocks back where it wanted zeros.
        if (!FcntlH.Allocate(image, size.Value))
        {
            Discard(files);
            return new Outcome.Transient($"{files.Disk.Directory} has not {size} free");
        }
        Span<byte> key = stackalloc byte[LinuxFscrypt.KeySize];
        RandomNumberGenerator.Fill(key);
        try
        {
            VolumeKeys.Write(files.MakingKey, _keys.Seal(files.Id, key));
            using var device = LoopDevice.Of(files.MakingImage, files.Id.ToString());
            using var mount = Ext4.Mount(device);
            Ext4.Encrypt(mount, key);
            Name(files, image, size);
            Place(mount, files.Id);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(key);
        }
        return new Outcome.Done();
    }

    /// <summary>Nothing is formatted: what the disk holds is its machine's.</summary>
    private Outcome MakeNewDisk(VolumeFiles files, SafeFileHandle image, Bytes size)
    {
        Span<byte> key = stackalloc byte[LinuxFscrypt.KeySize];
        RandomNumberGenerator.Fill(key);
        try
        {
            VolumeKeys.Write(files.MakingKey, _keys.Seal(files.Id, key));
            RandomAccess.Write(image, LuksHeader.Create(LuksHeader.Passphrase(key)), 0);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(key);
        }
        files.MakingIsDisk();
        Name(files, image, size);
        return new Outcome.Done();
    }

    /// <summary>It is a volume from when its image has its name, and by then its key has.</summary>
    private static void Name(VolumeFiles files, SafeFileHandle image, Bytes size)
    {
        files.SizeOfMaking = size;
        FcntlH.Sync(image);
        File.Move(files.MakingKey, files.Key);
        files.SyncNames();
        File.Move(files.MakingImage, files.Image);
        files.SyncNames();
    }

    private static Bytes LengthOf(Bytes size, VolumeForm form) => form is VolumeForm.Disk ? size + new Bytes(LuksHeader.Size) : size;

    private Outcome Use(VolumeFiles files, Volume volume)
    {
        if (Unlike(files, volume) is { } unlike)
            return new Outcome.Refused(unlike);
        var length = new Bytes(new FileInfo(files.Image).Length);
        if (length < LengthOf(files.Size, volume.Form))
            return new Outcome.Broken($"{files.Image} is {length} long and was {LengthOf(files.Size, volume.Form)}");
        // Before it is mounted: were it the other way round, a power failure could leave a volume in use that counts as detached long ago.
        if (files.Detached is not null)
        {
            files.Detached = null;
            files.SyncImage();
        }
        if (volume.Form is VolumeForm.Disk)
            return files.Size < volume.Size ? GrowDisk(files, length, volume.Size) : new Outcome.Done();
        if (LoopMount.Read().All(m => m.Point != MountPointOf(files.Id)) && Mount(files) is { } failed)
            return failed;
        return files.Size < volume.Size ? Grow(files, length, volume) : new Outcome.Done();
    }

    private Outcome.Broken? Mount(VolumeFiles files)
    {
        Span<byte> key = stackalloc byte[LinuxFscrypt.KeySize];
        try
        {
            if (!_keys.TryOpen(files.Id, File.ReadAllBytes(files.Key), key))
                return new Outcome.Broken($"{files.Key} is not the key of {files.Id}, or not this node's");
            using var device = LoopDevice.Of(files.Image, files.Id.ToString());
            using var mount = Ext4.Mount(device);
            if (!Ext4.Unlock(mount, key))
                return new Outcome.Broken($"{files.Image} is not what {files.Key} is the key of");
            Place(mount, files.Id);
            return null;
        }
        catch (Win32Exception e) when (e.NativeErrorCode is Posix.EINVAL or FcntlH.EUCLEAN)
        {
            return new Outcome.Broken($"{files.Image} cannot be mounted: {e.Message}");
        }
        finally
        {
            CryptographicOperations.ZeroMemory(key);
        }
    }

    private void Place(SafeFileHandle mount, ContainerId id)
    {
        // Containers have views of their own; nobody else of this machine has business with these.
        Directory.CreateDirectory(_mounts, DirectoryModes.Private);
        Directory.CreateDirectory(MountPointOf(id));
        MountApi.Place(mount, MountPointOf(id));
    }

    /// <summary>While its machine writes; the emulator is told afterwards.</summary>
    private static Outcome GrowDisk(VolumeFiles files, Bytes length, Bytes size)
    {
        var wanted = LengthOf(size, VolumeForm.Disk);
        using var image = FcntlH.Open(files.Image, FcntlH.O_RDWR);
        if (length < wanted && files.Disk.Free < OpenDisk.Footprint(wanted - length) || !FcntlH.Allocate(image, wanted.Value))
        {
            FcntlH.SetLength(image, length.Value);
            return new Outcome.Transient($"{files.Id} cannot grow: {files.Disk.Directory} has {files.Disk.Free} free");
        }
        FcntlH.SetLength(image, wanted.Value);
        FcntlH.Sync(image);
        files.Size = size;
        FcntlH.Sync(image);
        return new Outcome.Done();
    }

    private Outcome Grow(VolumeFiles files, Bytes length, Volume volume)
    {
        var size = volume.Size;
        using var device = LoopDevice.Of(files.Image, files.Id.ToString());
        // Nothing is broken: it is what this node said it cannot do. Whatever becomes of it, the volume is mounted: that is looked after.
        if (device.Ext4Blocks() < (ulong)(size.Value / Ext4.BlockSize) && CannotGrow(volume, files.Size) is { } cannot)
            return new Outcome.Refused(cannot, MayPass: true);
        using var image = FcntlH.Open(files.Image, FcntlH.O_RDWR);
        if (length < size && files.Disk.Free < OpenDisk.Footprint(size - length) || !FcntlH.Allocate(image, size.Value))
        {
            FcntlH.SetLength(image, length.Value);
            return new Outcome.Transient($"{files.Id} cannot grow: {files.Disk.Directory} has {files.Disk.Free} free");
        }
        FcntlH.SetLength(image, size.Value);
        Ext4.Grow(device, MountPointOf(files.Id), size);
        // Where ext4 wanted zeros for its new tables, the loop device gave the blocks back. In the meantime nobody else should have taken them.
        if (!FcntlH.Allocate(image, size.Value))
            return new Outcome.Transient($"{files.Id} has grown, but {files.Disk.Directory} is full and does not hold all of it");
        FcntlH.Sync(image);
        files.Size = size;
        FcntlH.Sync(image);
        return new Outcome.Done();
    }

    /// <summary>What was being made and is in nobody's hands. Its key was never that of anything else.</summary>
    private static void Discard(VolumeFiles files)
    {
        File.Delete(files.MakingImage);
        if (File.Exists(files.MakingKey))
            VolumeKeys.Wipe(files.MakingKey);
        File.Delete(files.MakingKey);
    }
}
